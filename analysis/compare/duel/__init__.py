"""A duel's runs: what is decided at each look, how it was run, and its false alarms."""
