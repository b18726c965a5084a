"""Peak memory of one run with a 135M upstream and a 135M aligner of other weights, both in float32.

The run is a process of its own; what is measured is its largest resident set, as the kernel counts it. The
aligner is SmolLM2 with one number changed, so that the two cannot share their weights.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from _common import arguments, finish

GOAL_GIB = 6.0
PROMPTS, QUICK_PROMPTS, NEW_TOKENS, QUICK_NEW_TOKENS = 100, 8, 128, 8
EXPERIMENT = """\
name: memory
decoding: {{max_new_tokens: {new_tokens}}}
suites: [{{name: quick-facts, limit: {limit}}}, {{name: synthetic-3h, limit: {limit}}}]
models:
  upstream: {{engine: hf, model: smollm2-135m-instruct}}
  aligner: {{engine: hf, model: {aligner}}}
systems:
  base: {{upstream: upstream}}
  aligned: {{upstream: upstream, corrector: {{kind: aligner, model: aligner, template: prompted}}}}
judges:
  facts: {{kind: reference}}
comparisons:
  - {{candidate: aligned, baselines: [base]}}
"""
RUN = """\
import sys
import aligner_bench
home = sys.argv[1]
experiment = aligner_bench.Experiment.load(home + "/exp.yaml")
run = aligner_bench.run(experiment, home + "/run", ledger=__import__("pathlib").Path(home) / "ledger.sqlite")
print(sum(run.manifest["model_loads"].values()))
"""


def changed_copy(target: Path) -> None:
    """SmolLM2's folder with one weight changed."""
    from safetensors.torch import load_file, save_file

    from aligner_bench.engines.embedded import converted_smollm2

    shutil.copytree(converted_smollm2(), target)
    weights = load_file(target / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    options = arguments(__doc__ or "")
    limit = (QUICK_PROMPTS if options.quick else PROMPTS) // 2
    tokens = QUICK_NEW_TOKENS if options.quick else NEW_TOKENS
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as home:
        changed_copy(Path(home) / "aligner")
        text = EXPERIMENT.format(new_tokens=tokens, limit=limit, aligner=f"{home}/aligner")
        (Path(home) / "exp.yaml").write_text(text, encoding="utf-8")
        command = [sys.executable, "-c", RUN, home]
        path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    loads = int(done.stdout.split()[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # Linux counts KiB
    print(f"{2 * limit} prompts, {tokens} new tokens each, {loads} models loaded")
    print(f"peak resident memory {peak:.2f} GiB, goal {GOAL_GIB:.0f}")
    row = {
        "name": "memory",
        "ours": peak,
        "unit": "GiB",
        "goal": GOAL_GIB,
        "models_loaded": loads,
        "ok": peak < GOAL_GIB and loads == 2,
    }
    finish("memory", [row], options)


if __name__ == "__main__":
    main()
