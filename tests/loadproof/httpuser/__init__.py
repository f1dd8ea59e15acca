"""Locust's HttpUser on loadproof's transport."""
