"""Checks declared limits: what was admitted, refused, promised and told."""
