"""The tables of the documentation, made from the results of benchmarks."""
