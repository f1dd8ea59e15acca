"""The process that injects a scenario's faults: it makes the target stall, die or slow down."""
