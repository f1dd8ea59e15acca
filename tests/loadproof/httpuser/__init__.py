"""Locust's HttpUser on our transport."""
