"""Own data at rest: ledger, tables, run folder, seal."""
