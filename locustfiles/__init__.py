"""What virtual users do: one kind of traffic per file, named as its endpoint."""
