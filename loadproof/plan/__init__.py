"""A scenario and a seed to who sends what when, and what that can show."""
