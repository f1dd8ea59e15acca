"""Backups of the ledger: taken during writes, checked, kept for a while, and only restored once proven."""
