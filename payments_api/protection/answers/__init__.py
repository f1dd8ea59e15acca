"""What clients are told: refusals, rate-limit headers, repeated answers of unlimited paths."""
