"""The engine: from a scenario to a run directory."""

__version__ = "0.2.0"
