"""Sends the plan on time, inside Locust's processes: a single one, or a master with its workers."""
