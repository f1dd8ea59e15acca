"""What goes wrong on purpose while a run goes on: from a scenario's faults to a target that stalls, dies or is slow."""
