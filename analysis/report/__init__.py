"""A verdict to a page for people."""
