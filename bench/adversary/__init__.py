"""Attempts to fool the verdict, and honest cases: each with the right verdict."""
