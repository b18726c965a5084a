"""Own the audits of judges and of outputs."""
