"""An example plug-in for aligner-bench: one kind of each sort, each in one module."""
