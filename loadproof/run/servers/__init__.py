"""Servers that a run starts, and that faults take down and bring back."""
