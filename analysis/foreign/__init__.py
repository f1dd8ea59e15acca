"""What other tools leave, to the same judgements."""
