"""Where backups are kept, and for how long: a directory or a bucket; and copies that failed."""
