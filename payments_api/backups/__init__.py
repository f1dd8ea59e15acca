"""Backups of the ledger: taken under writes, checked, kept for a while, and restored only once proved."""
