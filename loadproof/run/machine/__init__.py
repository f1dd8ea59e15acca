"""What this machine and this installation have, and allow."""
