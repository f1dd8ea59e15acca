"""Turns a run directory into tables, whatever a crash left."""
