"""How often 95 % intervals hold the truth on lopsided, graded and tied preferences.

Populations are GPT-4's recorded preferences for four models against AlpacaEval's reference (real, graded,
means of 2 to 9 %), those of the null model (77 %), and wins, ties and losses at rare and even rates.
Experiments draw n prompts in families of 1, 5 or 1 to 10 whose members agree with the family's own value half
of the time. For each cell: the coverage of the product's interval (`win_rate`) and of the candidate in
``_score_intervals.py`` (score interval of graded preferences; of gains minus losses for wins, ties and
losses), and how often each end of the candidate misses. The gate's cells draw the paired difference of a
candidate that is worse by exactly the margin, and count false passes (at most 5 % are wanted).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _common import arguments, finish
from _score_intervals import score_difference, score_mean

from aligner_bench.stats.clusters import FloatArray, IntArray
from aligner_bench.stats.hypothesis_tests import paired_difference
from aligner_bench.stats.power import noninferiority
from aligner_bench.stats.winrate import win_rate

MODELS = ("alpaca-7b", "phi-2", "falcon-40b-instruct", "gpt-3.5-turbo-1106", "NullModel")
AGREE = 0.5
MARGIN = 0.03
SIZES, FAMILIES = (50, 96, 200, 805), (1, 5, 0)
GOALS = {50: (0.92, 0.98), 96: (0.92, 0.98), 200: (0.935, 0.965), 805: (0.935, 0.965)}


def recorded(data: Path, model: str) -> FloatArray:
    """Preferences for a model, shape (about 805,), from AlpacaEval's annotations."""
    file = data / "alpaca_eval/results" / model / "weighted_alpaca_eval_gpt4_turbo/annotations.json"
    rows = json.loads(file.read_text("utf-8"))
    return np.array([row["preference"] - 1 for row in rows if row["preference"] is not None])


def trinomial(wins: float, ties: float) -> FloatArray:
    """A population of 1,000 wins, ties and losses."""
    w, t = round(1000 * wins), round(1000 * ties)
    return np.array([1.0] * w + [0.5] * t + [0.0] * (1000 - w - t))


def populations(data: Path) -> dict[str, FloatArray]:
    """Name -> values in [0, 1] to draw from."""
    made = {
        "2/97/1": trinomial(0.02, 0.97), "7/90/3": trinomial(0.07, 0.90), "30/40/30": trinomial(0.3, 0.4),
        "60/30/10": trinomial(0.6, 0.3), "5/0/95": trinomial(0.05, 0.0),
    }  # fmt: skip
    return {name: recorded(data, name) for name in MODELS} | made


def labels_of(rng: np.random.Generator, n: int, size: int) -> IntArray:
    """Family labels: of one size, or (0) of sizes from 1 to 10."""
    sizes = rng.integers(1, 11, n) if size == 0 else np.full(n, size)
    return np.repeat(np.arange(n), sizes)[:n]


def draw(rng: np.random.Generator, population: FloatArray, labels: IntArray) -> FloatArray:
    """Values, shape (n,): the family's own with probability `AGREE`, else one of their own."""
    shared = rng.choice(population, int(labels.max()) + 1)[labels]
    return np.where(rng.random(labels.size) < AGREE, shared, rng.choice(population, labels.size))


def cell(rng: np.random.Generator, population: FloatArray, n: int, size: int, runs: int) -> dict[str, float]:
    """Coverage of both intervals, and the candidate's misses on either side."""
    truth, found = float(population.mean()), {"candidate": 0, "product": 0, "above": 0, "below": 0}
    for _ in range(runs):
        labels = labels_of(rng, n, size)
        x = draw(rng, population, labels)
        who = None if size == 1 else labels
        hard = set(population.tolist()) <= {0.0, 0.5, 1.0}
        product = win_rate(x, "discrete" if hard else "weighted", who)
        ours = score_difference(2 * x - 1, who).shifted(0.5, 0.5) if hard else score_mean(x, who)
        found["candidate"] += ours.lower <= truth <= ours.upper
        found["product"] += product.lower <= truth <= product.upper
        found["above"] += ours.lower > truth
        found["below"] += ours.upper < truth
    return {name: count / runs for name, count in found.items()}


def false_passes(rng: np.random.Generator, population: FloatArray, n: int, runs: int) -> tuple[float, float]:
    """How often the gate passes a mean that is lower by exactly the margin: candidate's interval, product's.

    Values that can lose the most are lowered until the mean has dropped by the margin.
    """
    lowered = np.sort(population)[::-1].copy()
    excess = MARGIN * lowered.size
    for i, value in enumerate(lowered):
        taken = min(value, excess)
        lowered[i], excess = value - taken, excess - taken
    before = np.sort(population)[::-1]
    passed = [0, 0]
    for _ in range(runs):
        rows = rng.integers(0, before.size, n)
        d = lowered[rows] - before[rows]
        pair = score_difference(d, level=0.90), paired_difference(lowered[rows], before[rows], level=0.90)
        for i, difference in enumerate(pair):
            passed[i] += noninferiority(difference, MARGIN).outcome == "pass"
    return passed[0] / runs, passed[1] / runs


def result(what: str, ours: float, rival: float | None, goal: tuple[float, float]) -> dict[str, Any]:
    """A row: below the goal is a fault, above it a conservative cell."""
    found = {"name": f"coverage_graded {what}", "ours": ours, "rival": rival, "ratio": None, "goal": goal}
    return found | {"ok": ours >= goal[0], "conservative": ours > goal[1]}


def covered(rng: np.random.Generator, pools: Mapping[str, FloatArray], runs: int) -> list[dict[str, Any]]:
    """Print and return all coverage cells."""
    rows = []
    for n in SIZES:
        for size in FAMILIES:
            for name, population in pools.items():
                seen = cell(rng, population, n, size, runs)
                kind = {0: "1 to 10", 1: "1"}.get(size, str(size))
                row = result(f"n={n} families={kind} {name}", seen["candidate"], seen["product"], GOALS[n])
                word = "conservative" if row["conservative"] else "yes" if row["ok"] else "NO"
                misses = f"{seen['above']:6.1%} {seen['below']:6.1%}"
                shares = f"{seen['candidate']:9.1%} {misses} {seen['product']:7.1%}"
                print(f"{n:>4} {kind:>8} {name:<20} {shares}  {word}")
                rows.append(row)
    return rows


def main() -> None:
    options = arguments(str(__doc__).splitlines()[0])
    runs = 200 if options.quick else 1500
    error = 1.96 * math.sqrt(0.95 * 0.05 / runs)
    print(f"{runs} experiments a cell; Monte-Carlo error of 95 %: +- {error:.1%}")
    head = f"{'n':>4} {'family':>8} {'population':<20} {'candidate':>9} {'above':>6} {'below':>6}"
    print(f"{head} {'product':>7}  candidate meets the goal")
    rng, pools = np.random.default_rng(1), populations(options.data_dir)
    rows = covered(rng, pools, runs)
    for n in SIZES:
        for name, population in pools.items():
            if population.mean() < 2 * MARGIN:
                continue  # a mean below the margin cannot drop by it
            share, today = false_passes(rng, population, n, runs)
            print(f"gate, exact margin: n={n} {name:<20} passes {share:.1%}, product's {today:.1%}")
            row = result(f"false passes n={n} {name}", share, today, (0.0, 0.05))
            rows.append(row | {"ok": share <= 0.05 + error, "conservative": False})
    finish("coverage_graded", rows, options)


if __name__ == "__main__":
    main()
