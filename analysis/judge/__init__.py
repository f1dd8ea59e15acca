"""Turns values into verdicts: PASS, FAIL, INCONCLUSIVE, INVALID, with their reasons."""
