"""Statistical claims, checked by simulation: coverage of intervals, false alarms of tests, and their power."""
