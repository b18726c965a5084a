"""Own the views for people and CI. Views compute nothing: every number comes from ``results``."""
