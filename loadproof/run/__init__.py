"""Around Locust's processes: what starts, follows and stops them."""
