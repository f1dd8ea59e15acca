"""Keeps to the plan: arrivals on time in the open model, phases as a Locust shape in the closed one."""
