"""The classes that locustfiles are written with."""
