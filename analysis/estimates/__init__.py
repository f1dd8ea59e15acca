"""Turns tables into values with their evidence: how large, how certain, from how many samples."""
