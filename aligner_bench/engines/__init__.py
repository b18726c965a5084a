"""Own the engines, which run models: text in, text or token probabilities out."""

import os

# Libraries read these variables when they are first imported, which happens later; the user's settings have
# precedence. PASSIVE makes waiting threads sleep: spinning ones slow a batch tenfold as soon as another
# program runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


os.environ.setdefault("TQDM_DISABLE", "1")  # this package reports progress
