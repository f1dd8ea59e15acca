"""What locustfiles are written with."""
