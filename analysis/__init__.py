"""The judge: turns a run directory into a verdict and a report, without Locust."""
