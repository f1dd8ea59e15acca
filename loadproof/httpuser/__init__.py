"""Locust's HttpUser on loadproof's transport: the same interface at a fraction of the cost."""
