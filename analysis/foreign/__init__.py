"""Judges other tools' files the same way."""
