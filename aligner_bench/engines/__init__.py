"""What runs a model: text in, text (or probabilities) out."""

import os

# Read by libraries when they are first imported, which happens later than this; the user's own settings win.
# Waiting threads should sleep: spinning ones make a batch ten times slower as soon as another program runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


os.environ.setdefault("TQDM_DISABLE", "1")  # transformers draws bars of its own; progress is shown by us
