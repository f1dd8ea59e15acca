"""The run directory: the only door between the halves."""
