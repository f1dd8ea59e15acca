"""The processes that share a run: a master and its workers, and what they tell each other."""
