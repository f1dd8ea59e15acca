"""The command line: a file a command; the only place that sets both halves, engine and analysis, to work."""
