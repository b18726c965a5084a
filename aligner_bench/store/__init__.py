"""Data at rest: the ledger, run folders with their tables, traces and seals; AlpacaEval's result files."""
