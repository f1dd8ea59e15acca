"""What users mean, to what the target is sent, and back."""
