"""Verification of runs: recompute every published number and check every file against its seal."""
