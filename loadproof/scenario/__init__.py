"""Turns what people write into checked values; reports every mistake at once."""
