"""Child processes: how they are started, what they print, and how they end."""
