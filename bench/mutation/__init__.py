"""Mutation testing: plants small faults in the code, one at a time, to see whether the tests notice."""
