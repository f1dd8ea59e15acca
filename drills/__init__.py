"""What goes wrong in operation, done on purpose to a real API under load; each ends with a report and an exit code."""
