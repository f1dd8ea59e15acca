"""Starts, watches and stops Locust's processes."""
