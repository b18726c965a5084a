"""Own the experiment file: its fields, names, checks and stand-ins."""
