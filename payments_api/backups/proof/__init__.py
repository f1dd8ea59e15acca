"""Proves that a copy can be used: intact, with balanced books, and served by the application."""
