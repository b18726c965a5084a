"""Own every published number: rows in, numbers out."""
