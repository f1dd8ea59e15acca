"""Several runs to a difference."""
