"""Locust's CSVs of any version: found, read, doubted, and judged by thresholds."""
