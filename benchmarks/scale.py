"""Time and memory of `run` as the number of items grows, on recorded outputs and the reference judge.

Each size runs in its own process: it runs a 50-prompt experiment to warm up (imports, templates), then
times the run of N prompts: two replayed systems, one comparison, leaderboard and report included. Then it
runs the same command again, to measure the cost of a completed run. Peak memory is the process's own.

    python benchmarks/scale.py [--quick] [--save]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import arguments, finish

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (500, 5_000)
MOST_RATIO = 1.3
MOST_BYTES = 1_000_000_000
MOST_RERUN = 0.05
CHILD = """
import json, resource, sys, time
from pathlib import Path
from aligner_bench import Experiment, run
folder, n = Path(sys.argv[1]), sys.argv[2]

def timed(name):
    began = time.perf_counter()
    run(Experiment.load(folder / f"{name}.yaml"), folder / f"run-{name}", ledger=folder / f"{name}.sqlite")
    return time.perf_counter() - began

timed("warm")
first = timed(n)
again = [timed(n) for _ in range(3)]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"n": int(n), "seconds": first, "again": sorted(again)[1], "peak": peak}))
"""


def write_experiment(folder: Path, name: str, n: int) -> None:
    """Write a suite of n questions with one accepted answer each, and two recordings of 25-word answers."""
    filler = "and so on, as one would expect of such an answer, with a few more words to fill it "
    with (
        (folder / f"{name}.jsonl").open("w") as prompts,
        (folder / f"{name}-a.jsonl").open("w") as a,
        (folder / f"{name}-b.jsonl").open("w") as b,
    ):
        for i in range(n):
            key, right = f"q{i:07d}", str(i % 997)
            row = {"prompt_id": key, "text": f"Question {i}: what is {i} modulo 997?"}
            prompts.write(json.dumps({**row, "category": f"c{i % 10}", "references": [right]}) + "\n")
            for file, share in ((a, 3), (b, 2)):
                said = right if (i * 2_654_435_761 >> 7) % 5 < share else "unknown"
                file.write(json.dumps({"prompt_id": key, "output": f"It is {said}, {filler}"}) + "\n")
    (folder / f"suite-{name}.yaml").write_text(
        f"name: scale-{name}\nversion: '1'\nlicence: CC0-1.0\ndescription: made up\n"
        f"sources:\n  - {{kind: packaged, path: {name}.jsonl, columns: {{references: references}}}}\n"
    )
    (folder / f"{name}.yaml").write_text(
        f"name: scale-{name}\nsuites: [suite-{name}.yaml]\n"
        f"models:\n  a: {{engine: replay, path: {name}-a.jsonl}}\n"
        f"  b: {{engine: replay, path: {name}-b.jsonl}}\n"
        "systems:\n  one: {upstream: a}\n  two: {upstream: b}\n"
        "judges:\n  facts: {kind: reference}\n"
        "comparisons:\n  - {candidate: one, baselines: [two]}\n"
    )


def measure(n: int) -> dict[str, float]:
    root = str(Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Linux counts the parent's memory at the fork into a child's peak, so the parent stays small.
        write_experiment(folder, "warm", 50)
        write_experiment(folder, str(n), n)
        child = subprocess.run(
            [sys.executable, "-c", CHILD, name, str(n)],
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=False,
        )
        if child.returncode:
            raise SystemExit(child.stderr[-2000:])
        found: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
        return found


def table(best: dict[int, dict[str, float]]) -> None:
    """Print seconds, rerun share and peak memory of each size."""
    print(f"{'prompts':>9}{'seconds':>10}{'ms each':>9}{'again s':>9}{'again':>8}{'peak MB':>9}")
    for n, row in best.items():
        share = row["again"] / row["seconds"]
        print(
            f"{n:>9,}{row['seconds']:>10.2f}{1000 * row['seconds'] / n:>9.3f}"
            f"{row['again']:>9.3f}{share:>8.1%}{row['peak'] / 1e6:>9.0f}"
        )


def results(best: dict[int, dict[str, float]], rounds: int) -> list[dict[str, Any]]:
    """Return the rows of time, memory and rerun, from the median round of each size."""
    sizes = sorted(best)
    small, large = best[sizes[0]], best[sizes[-1]]
    each = {n: row["seconds"] / n for n, row in best.items()}
    ratio = each[sizes[-1]] / each[sizes[0]]
    again = large["again"] / large["seconds"]
    common = {"prompts": sizes[-1], "rounds": rounds}
    return [
        {
            "name": "scale_time",
            "what": f"seconds a prompt at {sizes[-1]:,} over {sizes[0]:,}",
            "ours": each[sizes[-1]],
            "rival": small["seconds"] / sizes[0],
            "ratio": round(ratio, 3),
            "goal": MOST_RATIO,
            "ok": ratio <= MOST_RATIO,
            **common,
        },
        {
            "name": "scale_memory",
            "what": "peak resident bytes",
            "ours": large["peak"],
            "rival": small["peak"],
            "ratio": round(large["peak"] / small["peak"], 2),
            "goal": MOST_BYTES,
            "ok": large["peak"] < MOST_BYTES,
            **common,
        },
        {
            "name": "scale_rerun",
            "what": "seconds of the same command once more, over the first time",
            "ours": large["again"],
            "rival": large["seconds"],
            "ratio": round(again, 4),
            "goal": MOST_RERUN,
            "ok": again <= MOST_RERUN,
            **common,
        },
    ]


def main() -> None:
    options = arguments(__doc__ or "")
    sizes = QUICK_SIZES if options.quick else SIZES
    rounds = 1 if options.quick else 3
    found: dict[int, list[dict[str, float]]] = {n: [] for n in sizes}
    for _ in range(rounds):
        for n in sizes:
            began = time.perf_counter()
            found[n].append(measure(n))
            print(f"{n:>8,} prompts: {time.perf_counter() - began:.1f} s in all", file=sys.stderr)
    best = {n: sorted(rows, key=lambda row: row["seconds"])[len(rows) // 2] for n, rows in found.items()}
    table(best)
    finish("scale", results(best, rounds), options)


if __name__ == "__main__":
    main()
