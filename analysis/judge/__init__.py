"""Turns values into verdicts: PASS, FAIL, INCONCLUSIVE, INVALID, and what led to them."""
