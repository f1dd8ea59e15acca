"""Benchmarks of loadproof and of the reference API, and their results; each writes a table into docs/."""
