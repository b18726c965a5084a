"""The alignment tax: what correction costs in capability, by lm-eval's tasks with and without the aligner."""
