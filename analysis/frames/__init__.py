"""Turns a run directory into tables, even after a crash."""
