"""Own the alpaca_eval judge: AlpacaEval's annotators over any model."""
