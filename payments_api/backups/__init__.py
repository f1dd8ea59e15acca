"""Backups of the ledger: taken while it is written to, checked, kept for a while, and proven before a restore."""
