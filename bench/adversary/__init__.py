"""Attempts to fool the verdict, and honest cases, each with its right verdict."""
