"""Classic faults, each of which breaks one promise of this API on purpose: what audits it can be seen to bite."""
