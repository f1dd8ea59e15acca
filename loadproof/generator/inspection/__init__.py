"""Looks at locustfiles before a run: what is in them, and one answer of each kind."""
