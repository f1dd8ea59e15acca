"""Operational failures, caused on purpose in a real API under load; each drill ends with a report and an exit code."""
