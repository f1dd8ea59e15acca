"""What virtual users do: one kind of traffic per file, named after its endpoint."""
