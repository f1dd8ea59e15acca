"""Finds what would make a valid scenario pointless or harmful to run, before the first packet."""
