"""Finds what contradicts itself or has no effect in a scenario whose fields are each valid."""
