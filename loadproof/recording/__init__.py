"""Turns requests into rows of the run directory as they end."""
