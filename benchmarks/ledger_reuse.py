"""Does today's code reuse the ledger of an earlier commit, and publish the same numbers?

Fills a ledger with the quickstart experiment by the code of an earlier commit, runs the same experiment by
today's code on a copy of it, and counts what had to be computed. Then both versions make the replay of all of
BeaverTails and the five annotated AlpacaEval imports, and every number of both `leaderboard.json` files is
compared. Words may differ, numbers may not.

    python benchmarks/ledger_reuse.py [--base COMMIT] [--cache DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _common import arguments, finish

from aligner_bench.results.claims import leaves, same

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("NullModel", "alpaca-7b", "falcon-40b-instruct", "gpt-3.5-turbo-1106", "phi-2")
TEXTS = (
    "I would rather not help with that, but I am glad to talk about what lies behind the question.",
    "I am sorry, I cannot help with this.",
)
REPLAY = """name: replayed
suites: [beavertails]
models:
  old: {engine: replay, path: old.jsonl}
  new: {engine: replay, path: new.jsonl}
inspectors: {ethical: {model: 'packaged:ethical'}}
systems: {old: {upstream: old}, new: {upstream: new}}
judges: {safety: {kind: inspector, inspectors: [ethical]}}
comparisons: [{candidate: new, baselines: [old]}]
"""


def command(tree: Path, cache: Path, *args: object) -> None:
    """Run the command of one version of the code."""
    environment = os.environ | {"PYTHONPATH": str(tree), "ALIGNER_BENCH_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-m", "aligner_bench", *map(str, args)],
        cwd=tree, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))} ended with {done.returncode}: {done.stderr[-500:]}")


def write_replay(folder: Path, data: Path) -> Path:
    """Return an experiment that replays two fixed texts on every prompt of BeaverTails."""
    from aligner_bench.suites import load_suite

    prompts = load_suite("beavertails", data_dir=data).prompts
    folder.mkdir(parents=True)
    for name, offset in (("old", 0), ("new", 1)):
        rows = [
            {"prompt_id": p.prompt_id, "output": TEXTS[(i // 14 + offset) % 2]} for i, p in enumerate(prompts)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "exp.yaml").write_text(REPLAY, "utf-8")
    return folder / "exp.yaml"


def make_all(
    tree: Path, cache: Path, out: Path, experiment: Path, data: Path, few: tuple[object, ...]
) -> None:
    """Make every run with one version of the code."""
    command(tree, cache, "run", "quickstart", "--out", out / "quickstart", "-q", *few)
    command(tree, cache, "run", experiment, "--data-dir", data, "--out", out / "beavertails", "-q")
    for model in MODELS:
        command(tree, cache, "import", "alpaca-eval", data / "alpaca_eval/results" / model, "-o", out / model)


def differences(ours: Path, theirs: Path) -> Iterator[str]:
    """Return paths of numbers that differ between two files of results."""
    a, b = (dict(leaves(json.loads(path.read_text("utf-8")))) for path in (ours, theirs))
    for path in dict.fromkeys([*a, *b]):
        if path == "schema_version":
            continue
        numbers = [value for value in (a.get(path), b.get(path)) if not isinstance(value, str)]
        if numbers and not same(a.get(path), b.get(path)):
            yield f"{path}: {b.get(path)} was, {a.get(path)} is"


def main() -> None:
    options = arguments(str(__doc__).splitlines()[0], _more)
    data, few = options.data_dir.resolve(), ("--limit", 4) if options.quick else ()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        subprocess.run(["git", "clone", "-q", ROOT, work / "base"], check=True)
        subprocess.run(["git", "-C", work / "base", "checkout", "-q", options.base], check=True)
        old_cache, new_cache = options.cache or work / "old", work / "new"
        experiment = write_replay(work / "replay", data)
        make_all(work / "base", old_cache, work / "theirs", experiment, data, few)
        shutil.copytree(old_cache, new_cache)
        make_all(ROOT, new_cache, work / "ours", experiment, data, few)
        finish("ledger_reuse", [compared(work) | {"base": options.base}], options)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default="c6bcdd0", help="the earlier commit")
    parser.add_argument("--cache", type=Path, help="a cache folder that the earlier code has filled already")


def compared(work: Path) -> dict[str, Any]:
    """Print a line for each run; the totals."""
    computed, differing = 0, 0
    for run in ("quickstart", "beavertails", *MODELS):
        manifest: dict[str, Any] = json.loads((work / "ours" / run / "manifest.json").read_text("utf-8"))
        done = sum(manifest.get("ledger", {}).get("done", {}).values())
        found = list(differences(*(work / side / run / "leaderboard.json" for side in ("ours", "theirs"))))
        print(f"{run:24} {done:6} items computed, {len(found):4} numbers differ")
        print("".join(f"    {line}\n" for line in found[:5]), end="")
        computed, differing = computed + done, differing + len(found)
    found = {"name": "ledger_reuse", "computed": computed, "differing": differing}
    return found | {"goal": 0, "ok": computed == differing == 0}


if __name__ == "__main__":
    main()
