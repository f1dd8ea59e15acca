"""Where requests and violations are counted: in memory, in Redis, by slowapi; and the fallback."""
