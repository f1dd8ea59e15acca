"""What we use of other libraries beside their public interfaces: one file a library, each with a test of its own."""
