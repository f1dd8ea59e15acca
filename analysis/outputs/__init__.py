"""Writes a verdict to files for programs."""
