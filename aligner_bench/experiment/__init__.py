"""Own the experiment file: its fields, its names, its checks, its stand-ins."""
