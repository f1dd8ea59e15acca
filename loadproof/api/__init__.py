"""Turns what users mean into what the target is sent, and its answers back."""
