"""Requests as they end, to rows of the run directory."""
