"""Watches a run: what its processes say, what the target does beside them, how it ends."""
