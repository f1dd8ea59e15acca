"""Everything around Locust's processes: prepares a run, starts and watches them, and asks the target about it."""
