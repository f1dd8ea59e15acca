"""The judge: from a run directory to a verdict and a report, without Locust."""
