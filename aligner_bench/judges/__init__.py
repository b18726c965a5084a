"""Own the judges, which compare two answers to one prompt."""
