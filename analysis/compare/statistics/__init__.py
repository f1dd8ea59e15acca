"""Tests on the values of whole runs: changes, equivalence, power, several looks, change points."""
