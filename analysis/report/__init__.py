"""Writes a verdict to a page for people."""
