"""Lists in files, reloaded when they change: denied and allowed networks, and rules for bots."""
