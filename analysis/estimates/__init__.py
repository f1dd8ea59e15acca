"""Tables to values with their evidence: how large, how sure, of how many samples."""
