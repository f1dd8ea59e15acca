"""The command line: one command per file, and what commands share; the only place that imports the analysis."""
