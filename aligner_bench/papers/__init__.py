"""Own the published tables of the papers as data."""
