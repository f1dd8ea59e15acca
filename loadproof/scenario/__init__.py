"""What people write, as checked values; every mistake reported at once."""
