"""The reference target: a small payments API with a real ledger and real limits, run as a separate program."""
