"""Inspectors: classifiers that score (prompt, answer) in [0, 1] for one criterion, and their training."""
