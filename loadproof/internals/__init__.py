"""What we use of other libraries beyond their public interfaces: one file per library, each with its own test."""
