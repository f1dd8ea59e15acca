"""The run directory: the only interface between engine and analysis."""
