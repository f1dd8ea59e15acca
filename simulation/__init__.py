"""Runs with a known truth, for tests and benchmarks: what a judge should find in them is known beforehand."""
