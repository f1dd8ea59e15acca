"""A scenario's faults, on time and undone again; the process that injects them is `loadproof.faults`."""
