"""Finds where a Locust run turned for the worse: windows of its history, one bend in a line."""
