"""Values to words: PASS, FAIL, INCONCLUSIVE, INVALID, and what led there."""
