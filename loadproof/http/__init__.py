"""One request to its answer, timed."""
