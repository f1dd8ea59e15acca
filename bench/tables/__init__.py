"""Tables of the documentation, generated from the results of benchmarks."""
