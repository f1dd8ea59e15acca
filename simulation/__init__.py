"""Simulated runs for tests and benchmarks, with a known truth to check judgements against."""
