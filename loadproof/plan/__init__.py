"""Turns a scenario and a seed into who sends what when, and what that can show."""
