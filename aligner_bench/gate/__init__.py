"""Own the gate: is a run no worse than a stored baseline, by a margin, with three outcomes (contract 11)."""
