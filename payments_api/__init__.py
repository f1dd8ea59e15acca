"""The reference target: a small payments API with a real ledger and real limits, a program of its own."""
