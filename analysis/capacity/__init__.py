"""From short runs at different loads to the load that a target sustains, with its interval."""
