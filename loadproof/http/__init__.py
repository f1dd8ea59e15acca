"""Sends one request and times its answer."""
