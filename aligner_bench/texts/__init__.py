"""Own pure functions on texts: reference match, refusal rules, edits, copies."""
