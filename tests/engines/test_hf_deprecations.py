"""The ``hf`` engine uses no deprecated name of transformers, which would later ignore it silently."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.engines.tiny_llama import write_tiny_llama

# In a process of its own: transformers and Python show some warnings only once.
SCRIPT = """
import json, sys, warnings
from aligner_bench.engines.base import make_engine, model_spec
from aligner_bench.core.types import Decoding, Request

def request(text, new):
    return Request("Be accurate and kind. " * 8, text, chat=False, decoding=Decoding(max_new_tokens=new))

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    engine = make_engine(model_spec(engine="hf", model=sys.argv[1]))
    engine.load()
    texts = [row.text for row in engine.complete([request(f"Number {i}", 3) for i in range(4)])]
    engine.complete([request("The same beginning again", 3)] * 2)
    chosen = engine.choose([request("Yes or no?", 1)] * 2, ("A", "B"))
facts = engine.facts()
assert all(texts) and all(chosen) and facts["prompt_tokens_computed"] > 0
old = [w for w in seen if issubclass(w.category, (FutureWarning, DeprecationWarning))]
lines = [f"{w.filename}:{w.lineno}: {w.message}" for w in old]
print(json.dumps({"shared": facts["shared_prefixes"], "warnings": lines}))
"""

# Where such a warning points; the last is the caller of every model's ``forward``.
OURS = ("/aligner_bench/", "/transformers/", "/torch/nn/modules/module.py")


@pytest.mark.parametrize("window", [None, 64], ids=["shared", "plain"])
def test_no_deprecated_name_of_transformers_is_used(models, tmp_path, window):
    folder = write_tiny_llama(tmp_path)
    if window:  # attention by windows takes the path with transformers' own cache
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "sliding_window": window}))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["shared"] is (window is None)
    assert [line for line in found["warnings"] if any(place in line for place in OURS)] == []
    assert "deprecated" not in done.stderr  # transformers logs some instead of warning
