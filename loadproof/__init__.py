"""From a scenario to a run directory, and from that to a verdict and a report."""

__version__ = "0.2.0"
