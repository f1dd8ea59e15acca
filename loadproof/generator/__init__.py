"""Sends the plan on time, inside Locust's processes: one process or a crew."""
