"""Models of aligners at work that need no language model."""
