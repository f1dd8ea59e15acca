"""The command line: one command per file; the only place that uses both the engine and the analysis."""
