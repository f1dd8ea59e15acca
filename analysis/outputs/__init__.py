"""A verdict to files for programs."""
