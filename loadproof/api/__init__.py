"""Turns what users want to do into requests to the target, and its answers back."""
