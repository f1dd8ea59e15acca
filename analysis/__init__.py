"""The judge: turns a run directory, or other tools' files, into a verdict and a report, without Locust."""
