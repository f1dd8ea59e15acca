"""Follows users written for plain Locust, and records what their clients report."""
