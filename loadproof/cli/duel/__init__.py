"""`loadproof duel`: its arguments, its runs and their referee, its ending."""
