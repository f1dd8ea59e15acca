"""Turns a scenario into a run directory, and that into a verdict and a report."""

__version__ = "0.2.0"
