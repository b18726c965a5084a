"""Coverage of the 95 % intervals over simulated experiments with ties and prompt families.

Every experiment has n prompts in families of one to five. A prompt's verdict is 1, 0.5 or 0, depending on
where a normal number z lies relative to the prompt's true preference q: above the tie band is a loss, below
it a win. Families share a part of z, so that their verdicts correlate, while the mean stays q exactly and
every target is known. For the length-controlled rate, q is logistic in the tanh of the standardised length
difference, so that the target is the logistic function of mu.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import arguments, finish
from scipy import special

from aligner_bench.stats.clusters import FloatArray, IntArray, Labels
from aligner_bench.stats.estimate import Estimate
from aligner_bench.stats.hypothesis_tests import paired_difference
from aligner_bench.stats.intervals import bca, clopper_pearson, wilson
from aligner_bench.stats.length_control import Refits, lc_win_rate
from aligner_bench.stats.winrate import counts, win_rate

LIKENESS = 0.5
"""Correlation of z within a family."""
TIE_BAND = 0.1
"""Half of the share of ties."""
TRUE_RATE, TRUE_RIVAL = 0.6, 0.55
LC_THETA, LC_MU = -0.8, 0.4
BOOT = 1000
GOALS = {50: (0.93, 0.97), 200: (0.935, 0.965), 800: (0.935, 0.965)}
Check = tuple[str, str, Estimate, float]


def families(rng: np.random.Generator, n: int) -> IntArray:
    """Return family labels of n prompts: sizes 1 to 5 in equal frequency, the last one cut to fit."""
    sizes = rng.integers(1, 6, size=n)
    return np.repeat(np.arange(n), sizes)[:n]


def shared_normal(rng: np.random.Generator, labels: IntArray, likeness: float = LIKENESS) -> FloatArray:
    """Return standard normal numbers, shape (n,), correlated by `likeness` within a family."""
    common = rng.standard_normal(int(labels.max()) + 1)[labels]
    return math.sqrt(likeness) * common + math.sqrt(1 - likeness) * rng.standard_normal(labels.size)


def verdicts(z: FloatArray, q: FloatArray | float) -> FloatArray:
    """Return 1, 0.5 or 0 for each z, with mean exactly q."""
    place = special.ndtr(z)
    band = np.minimum(TIE_BAND, np.minimum(q, 1 - np.asarray(q)))
    return np.where(place < q - band, 1.0, np.where(place < q + band, 0.5, 0.0))


def naive(x: FloatArray) -> Estimate:
    """Return the interval that treats rows as independent: mean and 1.96 standard errors."""
    half = 1.96 * x.std(ddof=1) / math.sqrt(x.size)
    return Estimate(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, x.size, "naive")


def one_experiment(rng: np.random.Generator, n: int) -> list[Check]:
    """Return (quantity, interval, estimate, truth) of everything with a goal except LC."""
    labels = families(rng, n)
    z = shared_normal(rng, labels)
    ours = verdicts(z, TRUE_RATE)
    rival = verdicts(0.7 * z + math.sqrt(1 - 0.49) * shared_normal(rng, labels), TRUE_RIVAL)
    seed = int(rng.integers(2**31))
    gap = TRUE_RATE - TRUE_RIVAL
    strict = (TRUE_RATE - TIE_BAND) / (1 - 2 * TIE_BAND)
    difference = ours - rival
    return [
        ("win rate", "cluster t", win_rate(ours, "discrete", labels), TRUE_RATE),
        ("win rate", "BCa", bca(ours, np.mean, labels, BOOT, seed, bounds=(0, 1)), TRUE_RATE),
        ("win rate", "naive", naive(ours), TRUE_RATE),
        ("strict", "cluster t", win_rate(ours, "strict", labels), strict),
        ("omega", "cluster t", win_rate(ours, "omega", labels), 2 * TRUE_RATE - 1),
        ("omega", "BCa", bca(np.sign(ours - 0.5), np.mean, labels, BOOT, seed + 1), 2 * TRUE_RATE - 1),
        ("omega", "naive", naive(np.sign(ours - 0.5)), 2 * TRUE_RATE - 1),
        ("difference", "cluster t", paired_difference(ours, rival, labels), gap),
        ("difference", "BCa", bca(difference, np.mean, labels, BOOT, seed + 2), gap),
        ("difference", "naive", naive(difference), gap),
    ]


def one_length_experiment(rng: np.random.Generator, n: int) -> list[Check]:
    """Return the length-controlled rate, and for contrast with penalised refits and without families."""
    labels = families(rng, n)
    gap = (
        0.5 * shared_normal(rng, labels, 0.3) + 0.2
    )  # reference minus candidate, in units of 1000 characters
    q = special.expit(LC_THETA * np.tanh(gap / 0.5) + LC_MU)
    p = verdicts(shared_normal(rng, labels), q)
    seed = int(rng.integers(2**31))
    truth = float(special.expit(LC_MU))
    ways: list[tuple[str, Labels, Refits]] = [
        ("BCa", labels, "free"),
        ("BCa, C kept", labels, "kept"),
        ("naive", None, "free"),
    ]
    return [
        ("LC (minimal)", way, length_controlled(p, gap, who, refits, seed), truth)
        for way, who, refits in ways
    ]


def length_controlled(p: FloatArray, gap: FloatArray, labels: Labels, refits: Refits, seed: int) -> Estimate:
    """Return the rate with its interval for a length gap in units of 1000 characters."""
    base = np.full(p.size, 5000.0)
    result = lc_win_rate(p, base, base - 1000 * gap, clusters=labels, n_boot=BOOT, seed=seed, refits=refits)
    return result.estimate


def one_share_experiment(rng: np.random.Generator, n: int) -> list[Check]:
    """Return Wilson and Clopper-Pearson intervals on independent prompts with ties, at two rates."""
    checks: list[Check] = []
    for q in (TRUE_RATE, 0.85):
        tally = counts(verdicts(rng.standard_normal(n), q))
        truth = (q - TIE_BAND) / (1 - 2 * TIE_BAND)
        decided = tally.wins + tally.losses
        checks.append((f"strict {truth:.2f}", "Wilson", wilson(tally.wins, decided), truth))
        checks.append((f"strict {truth:.2f}", "Clopper-Pearson", clopper_pearson(tally.wins, decided), truth))
    return checks


def holds(estimate: Estimate, truth: float) -> bool:
    """Return whether the closed interval holds the truth, up to rounding."""
    return estimate.lower <= truth + 1e-9 and truth - 1e-9 <= estimate.upper


def coverage(
    experiment: Callable[[np.random.Generator, int], list[Check]], n: int, runs: int, seed: int = 1
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return (share of intervals that hold the truth, mean half width) by quantity and interval."""
    rng = np.random.default_rng([seed, n])
    seen: dict[tuple[str, str], list[tuple[bool, float]]] = defaultdict(list)
    for _ in range(runs):
        for quantity, interval, estimate, truth in experiment(rng, n):
            seen[quantity, interval].append((holds(estimate, truth), estimate.half_width))
    return {
        key: (float(np.mean([h for h, _ in v])), float(np.mean([w for _, w in v]))) for key, v in seen.items()
    }


def goal_of(interval: str, n: int) -> tuple[float, float] | None:
    """Return the range of acceptable coverage; None for intervals shown for contrast."""
    fixed = {"Wilson": (0.925, 0.98), "Clopper-Pearson": (0.95, 1.0), "naive": None, "BCa, C kept": None}
    return fixed[interval] if interval in fixed else GOALS[n]


def table(n: int, results: dict[tuple[str, str], tuple[float, float]], runs: int) -> list[dict[str, Any]]:
    """Print one sample size and return its rows."""
    rows = []
    for (quantity, interval), (share, width) in results.items():
        goal = goal_of(interval, n)
        ok = None if goal is None else goal[0] <= share <= goal[1]
        word = "-" if ok is None else ("yes" if ok else "NO")
        wanted = "" if goal is None else f"{goal[0]:.1%} to {goal[1]:.1%}"
        print(f"{n:>5}  {quantity:<13} {interval:<16} {share:>7.2%}  {width:>8.4f}  {wanted:<16} {word}")
        rows.append(
            {
                "name": f"coverage n={n} {quantity} {interval}",
                "ours": share,
                "half_width": width,
                "rival": results.get((quantity, "naive"), (None,))[0],
                "ratio": None,
                "goal": goal,
                "ok": ok,
                "runs": runs,
            }
        )
    return rows


def main() -> None:
    options = arguments(__doc__ or "")
    runs = 300 if options.quick else 2000
    error = 1.96 * math.sqrt(0.95 * 0.05 / runs)
    print(f"{runs} experiments each; Monte-Carlo error of a coverage of 95 %: +- {error:.2%}")
    print(f"{'n':>5}  {'quantity':<13} {'interval':<16} {'covers':>7}  {'half w.':>8}  {'goal':<16} met")
    rows: list[dict[str, Any]] = []
    for n in (50, 200, 800):
        rows += table(n, coverage(one_experiment, n, runs), runs)
        rows += table(n, coverage(one_share_experiment, n, runs), runs)
        if n >= 200:
            rows += table(n, coverage(one_length_experiment, n, runs), runs)
    finish("coverage", rows, options)


if __name__ == "__main__":
    main()
