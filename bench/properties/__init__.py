"""The matrix of promises: the clean reference API keeps each, and each of its mutants breaks its own."""
