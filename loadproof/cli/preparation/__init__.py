"""Turns command-line arguments into an assignment, shows its plan, and runs it."""
