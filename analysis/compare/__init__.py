"""Compares runs, and releases by several runs of each."""
