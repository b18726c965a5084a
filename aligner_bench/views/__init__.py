"""Own the views for people and CI, which compute nothing: every number comes from ``results``."""
