"""Servers that are part of a run, which faults take down and bring back."""
