"""Private parts of other libraries that loadproof uses: one file per library or topic, checked by tests."""
