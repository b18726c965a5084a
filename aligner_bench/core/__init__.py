"""Own values, errors, hashing, files, YAML, registries and the base of every spec."""
