"""A backup a day inside the serving process: when it is due, and which ones there are already."""
