"""Data at rest: the ledger, the tables of a run, traces, seals, and AlpacaEval's result files."""
