"""Injects a scenario's faults during a run: makes the target stall, die or slow down."""
