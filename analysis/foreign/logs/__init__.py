"""Request logs, plain CSVs of any tool: read in chunks, and judged by thresholds."""
