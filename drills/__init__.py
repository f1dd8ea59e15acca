"""Incidents that are made on purpose, against real servers, with a short report of what the reference API did."""
