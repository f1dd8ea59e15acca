"""From short runs at different loads to the load that a target holds, with its interval."""
