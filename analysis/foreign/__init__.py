"""Judges other tools' files in the same way."""
