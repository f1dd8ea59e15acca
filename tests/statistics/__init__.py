"""Statistical claims, checked by simulating: how often intervals cover, tests cry wolf, and what is there is found."""
