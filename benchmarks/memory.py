"""Peak memory of one run with a 135M upstream and a 135M aligner of different weights, in float32.

The run is its own process; the measure is its largest resident set, as reported by the kernel, including
children. The aligner is SmolLM2 with one number changed, so that the two cannot share their weights. With
the hf engine the goal is 6 GB; with vLLM, where it is installed, the limit given with --memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _common import arguments, finish

GOAL_GIB = 6.0
ENGINES = {"hf": "", "vllm": ", kv_cache_gb: 0.5"}
PROMPTS, QUICK_PROMPTS, NEW_TOKENS, QUICK_NEW_TOKENS = 100, 8, 128, 8
EXPERIMENT = """\
name: memory
decoding: {{max_new_tokens: {new_tokens}}}
suites: [{{name: quick-facts, limit: {limit}}}, {{name: synthetic-3h, limit: {limit}}}]
models:
  upstream: {{engine: {engine}, model: smollm2-135m-instruct{extra}}}
  aligner: {{engine: {engine}, model: {aligner}{extra}}}
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
ledger = __import__("pathlib").Path(home) / "ledger.sqlite"
run = aligner_bench.run(experiment, home + "/run", ledger=ledger, memory=float(sys.argv[2]))
print(sum(run.manifest["model_loads"].values()))
"""


def changed_copy(target: Path) -> None:
    """Copy SmolLM2's folder with one weight changed."""
    from safetensors.torch import load_file, save_file

    from aligner_bench.engines.embedded import converted_smollm2

    shutil.copytree(converted_smollm2(), target)
    weights = load_file(target / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def measure(engine: str, python: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one engine's run, from the experiment file to the report."""
    limit = (QUICK_PROMPTS if options.quick else PROMPTS) // 2
    tokens = QUICK_NEW_TOKENS if options.quick else NEW_TOKENS
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as home:
        changed_copy(Path(home) / "aligner")
        said = {"engine": engine, "extra": ENGINES[engine], "aligner": f"{home}/aligner"}
        text = EXPERIMENT.format(new_tokens=tokens, limit=limit, **said)
        (Path(home) / "exp.yaml").write_text(text, encoding="utf-8")
        command = [python, "-c", RUN, home, str(GOAL_GIB)]
        path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path}
        with (Path(home) / "told").open("w+") as told:
            process = subprocess.Popen(command, env=environment, stdout=told)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                sys.exit(f"memory: the run with {engine} ended with code {process.returncode}")
            told.seek(0)
            loads = int(told.read().split()[-1])
    peak = usage.ru_maxrss / 2**20  # Linux counts KiB
    print(f"{engine}: {2 * limit} prompts, {tokens} new tokens each, {loads} models loaded")
    print(f"{engine}: peak resident memory {peak:.2f} GiB, goal {GOAL_GIB:.0f}")
    return {
        "name": f"memory {engine}",
        "ours": peak,
        "unit": "GiB",
        "goal": GOAL_GIB,
        "models_loaded": loads,
        "ok": peak < GOAL_GIB and loads == 2,
    }


def main() -> None:
    from aligner_bench.core.errors import UsageError
    from aligner_bench.engines.vllm_env import vllm_python

    options = arguments(__doc__ or "")
    found = [measure("hf", sys.executable, options)]
    try:
        found.append(measure("vllm", vllm_python()[0], options))
    except UsageError as error:
        print(f"vllm: not measured: {error}")
    finish("memory", found, options)


if __name__ == "__main__":
    main()
