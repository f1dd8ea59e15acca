"""Checks payments: balances, books, reads, replayed keys; and writes their history for Elle."""
