"""Own the paired comparison of two runs."""
