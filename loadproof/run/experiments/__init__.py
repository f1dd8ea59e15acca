"""Several runs with one question: duels, searches for capacity, self-tests, and the servers that these load."""
