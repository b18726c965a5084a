"""Own the check that a run is what it says."""
