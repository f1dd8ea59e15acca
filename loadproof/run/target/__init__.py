"""The target: the embedded one, requests of our own to any, its metrics."""
