"""Which runs may be compared, what else differs between them, and thresholds on the baseline."""
