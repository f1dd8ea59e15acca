"""Turns short runs at different loads into the load that a target sustains, with its interval."""
