"""A run directory to tables, whatever a crash left."""
