"""Own execution: plan an experiment, schedule it by model residency, run it through the ledger, resume it."""
