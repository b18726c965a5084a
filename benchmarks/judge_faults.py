"""A judge behind a server that fails 30 % of the time, in a run that is killed three times.

1,000 pairs are judged in both orders by the ``logprob`` judge, through the command line. The server runs as
its own process with a seed: 429, 500, timeouts, connections cut before and within a reply, slow replies,
HTML, JSON of another shape, empty choices and missing log-probabilities affect single tries; refusals and
over-long inputs affect items. The run is ended with ``kill -9`` when a quarter, half and three quarters are
answered, and is resumed with the same command until only permanent failures remain.

Every call carries its item's key, which the server honours: an answer given, and billed, under a key is
repeated from memory. So the server's log and the ledger can be compared key by key. The number of repeated
requests for replies that had been delivered completely is printed too: a server that ignores such keys
would have billed these, and replies that were cut off, a second time. Only calls in flight at a kill can be
among them.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _common import arguments, finish
from _fault_server import KINDS, log_of, serving

PAIRS, QUICK_PAIRS, SHARE = 1000, 100, 0.3
KILLS = (0.25, 0.5, 0.75)
MOST_RUNS = 6
ROOT = Path(__file__).resolve().parents[1]


def write_experiment(home: Path, url: str, pairs: int) -> None:
    """Write a suite, two recorded systems whose answers differ, and the judge."""
    prompts = [{"id": f"p{i}", "prompt": f"What is {i} plus {i}?"} for i in range(pairs)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (home / "suite.yaml").write_text(
        "name: sums\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    for name in ("a", "b"):
        rows = [{"prompt_id": f"p{i}", "output": f"{name} says {2 * i}"} for i in range(pairs)]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "exp.yaml").write_text(
        "name: faults\nsuites: [suite.yaml]\n"
        f"models:\n  api: {{engine: openai, model: m, base_url: '{url}', timeout: 2, retries: 8}}\n"
        "  a: {engine: replay, path: a.jsonl}\n  b: {engine: replay, path: b.jsonl}\n"
        "systems: {a: {upstream: a}, b: {upstream: b}}\n"
        "judges: {taste: {kind: logprob, model: api, audit_pairs: 0}}\n"
        "comparisons: [{candidate: a, baselines: [b]}]\n"
    )


def start(home: Path) -> subprocess.Popen[bytes]:
    """Start the command, which is the same every time."""
    command = [sys.executable, "-m", "aligner_bench", "run", "exp.yaml", "--out", "out"]
    return subprocess.Popen(
        [*command, "--ledger", "ledger.sqlite", "--quiet"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )


def billed(log: list[dict[str, Any]]) -> Counter[str]:
    """Return how often each key was billed."""
    return Counter(event["key"] for event in log if event["billed"])


def kill_at(home: Path, url: str, answers: int) -> bool:
    """Start the run and kill it once ``answers`` answers are billed; return False if it ended before."""
    process = start(home)
    while process.poll() is None:
        if len(billed(log_of(url))) >= answers:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.05)
    return False


def stored(home: Path) -> dict[str, int]:
    """Return the judge's items in the ledger, and how often each was written."""
    with sqlite3.connect(home / "ledger.sqlite") as book:
        return dict(book.execute("SELECT key, writes FROM items WHERE stage = 'choose'").fetchall())


def verdicts(home: Path) -> list[dict[str, Any]]:
    """Return the finished run's verdicts as rows."""
    from aligner_bench.runs import Run

    return Run(home / "out").rows("verdicts")


def finished_runs(home: Path, url: str, hopeless: int) -> tuple[int, bool]:
    """Repeat the run while transient failures remain; return how often, and whether the counters agree."""
    agree = True
    for count in range(1, MOST_RUNS + 1):
        before = len(log_of(url))
        if start(home).wait() != 0:
            raise SystemExit("the run failed")
        facts = json.loads((home / "out" / "manifest.json").read_text())["engines"]["api"]
        agree &= facts["tries"] == len(log_of(url)) - before
        if sum(row["status"] == "error" for row in verdicts(home)) == hopeless:
            return count, agree
    return MOST_RUNS, agree


def examine(home: Path, url: str, calls: int, agree: bool, kills: int) -> dict[str, Any]:
    """Return the checks, from the server's log and the ledger."""
    log, ledger = log_of(url), stored(home)
    once = billed(log)
    too_long = {event["key"] for event in log if event["fault"] == "too long"}
    statuses = Counter(row["status"] for row in verdicts(home))
    delivered: set[str] = set()
    again = 0
    for event in log:
        again += event["key"] in delivered
        delivered |= {event["key"]} if event["delivered"] else set()
    checks = {
        "killed three times": kills == len(KILLS),
        "none lost": sum(statuses.values()) == calls == len(ledger) + len(too_long),
        "only over-long input failed": statuses["error"] == len(too_long),
        "none answered twice": set(ledger.values()) == {1},
        "none paid twice": max(once.values()) == 1,
        "ledger and server's log name the same items": set(once) == set(ledger),
        "the run's counter of tries is the server's": agree,
        "every kind of fault met": {event["fault"] for event in log} >= set(KINDS),
    }
    faults = Counter(event["fault"] for event in log if event["fault"])
    return {
        "checks": checks, "requests": len(log), "billed": sum(once.values()), "statuses": dict(statuses),
        "faults": dict(faults), "asked_again_after_delivery": again,
    }  # fmt: skip


def report(found: dict[str, Any]) -> None:
    """Print the table."""
    for kind, count in sorted(found["faults"].items()):
        print(f"  {kind:<14} {count:>6}")
    print(f"{found['requests']} requests, {found['billed']} billed; verdicts: {found['statuses']}")
    again = found["asked_again_after_delivery"]
    print(f"repeated although the reply had been delivered completely (in flight at a kill): {again}")
    for check, held in found["checks"].items():
        print(f"  {'yes' if held else 'NO ':<4} {check}")


def main() -> None:
    options = arguments(__doc__ or "")
    pairs = QUICK_PAIRS if options.quick else PAIRS
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder, serving(SHARE, latency=0.02, seed=7) as url:
        home = Path(folder)
        write_experiment(home, url, pairs)
        print(f"{2 * pairs} calls, {SHARE:.0%} faults")
        kills = sum(kill_at(home, url, int(2 * pairs * share)) for share in KILLS)
        # Over-long inputs are known only after every item has been sent.
        start(home).wait()
        too_long = {event["key"] for event in log_of(url) if event["fault"] == "too long"}
        runs, agree = finished_runs(home, url, len(too_long))
        found = examine(home, url, 2 * pairs, agree, kills)
    report(found)
    held = sum(found["checks"].values())
    row = {"name": "judge_faults", "ours": held, "rival": None, "ratio": None, "goal": len(found["checks"])}
    row |= {"ok": held == len(found["checks"]), "pairs": pairs, "runs_after_kills": runs + 1, **found}
    finish("judge_faults", [row], options)


if __name__ == "__main__":
    main()
