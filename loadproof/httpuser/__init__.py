"""Locust's HttpUser on loadproof's transport: requests' interface, at a fraction of its cost."""
