"""The alignment tax: the capability lost by correction, measured by lm-eval's tasks with and without it."""
