"""The commands of ``aligner-bench``, each a thin module over the Python API."""
