"""Shared foundations: values, errors, hashing, files, YAML, registries and the base class of every spec."""
