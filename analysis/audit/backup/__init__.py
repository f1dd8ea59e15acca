"""Checks backups: that they end, restore, serve, and contain what was acknowledged."""
