"""Files on this machine: copied whole, packed, locked, given to their owner, made in a workshop."""
