"""Own the pairrm judge: pair rankers in the format of PairRM."""
