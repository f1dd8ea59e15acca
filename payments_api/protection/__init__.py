"""Who may ask, how often: clients, networks, bots, limits and growing penalties, ahead of routing."""
