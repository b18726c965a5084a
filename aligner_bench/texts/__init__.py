"""Pure functions on texts: reference matching, refusal rules, edit distance and the reference-copy screen."""
