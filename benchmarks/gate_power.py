"""Power and error rates of the gate (contract 11): planned power, false alarms, and the n it names.

Paired differences (new - baseline) of a prompt take the values -1, -0.5, 0, 0.5, 1. n is planned from a
margin and the standard deviation of the no-drop case; each simulation draws n prompts, computes the 90 %
two-sided t interval (its ends are the one-sided 95 % bounds) and calls the gate. An inconclusive gate names
an n; a new sample of that size is then drawn and tested. Means and variances of a sample are drawn exactly,
through the multinomial counts of the five values, so that large n cost no more than small ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from _common import arguments, finish
from scipy import stats

from aligner_bench.stats.power import LARGEST_N, GateDecision, noninferiority, noninferiority_n

VALUES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
SHAPE = np.array([0.1, 0.1, 0.6, 0.1, 0.1])
"""Probabilities of the values without a drop: most prompts are ties."""
MARGIN = 0.03
POWER = 0.9
Floats = np.ndarray[Any, np.dtype[np.float64]]


def chances(drop: float) -> Floats:
    """Return the probabilities of the five values with mean -drop, moved from gains to losses."""
    moved = drop / 3  # moving 0.5 and 1 to -0.5 and -1 costs 1 and 2 each
    return SHAPE + np.array([moved, moved, 0.0, -moved, -moved])


def ask(rng: np.random.Generator, drop: float, n: int) -> GateDecision:
    """Return the gate's decision on a new sample of n prompts."""
    count = rng.multinomial(n, chances(drop))
    mean = float(count @ VALUES) / n
    variance = float(count @ (VALUES - mean) ** 2) / (n - 1)
    return noninferiority((mean, math.sqrt(variance / n), n - 1), MARGIN, n)


def simulate(drop: float, n: int, runs: int, seed: int) -> dict[str, float]:
    """Return shares of outcomes, and of inconclusive runs that the named n then decides."""
    rng = np.random.default_rng(seed)
    first = [ask(rng, drop, n) for _ in range(runs)]
    named = [decision.n_to_decide for decision in first if decision.outcome == "inconclusive"]
    again = [ask(rng, drop, size).outcome for size in named if size is not None and size < LARGEST_N]
    shares = {o: sum(d.outcome == o for d in first) / runs for o in ("pass", "fail", "inconclusive")}
    decided = sum(o != "inconclusive" for o in again) / len(named) if named else math.nan
    named_median = float(np.median([s for s in named if s is not None])) if named else math.nan
    return {**shares, "inconclusive_runs": len(named), "decided_by_named_n": decided, "named_n": named_median}


def row(what: str, ours: float, goal: str, ok: bool | None, more: dict[str, float]) -> dict[str, Any]:
    return {
        "name": f"gate_power {what}",
        "ours": ours,
        "rival": None,
        "ratio": None,
        "goal": goal,
        "ok": ok,
        **more,
    }


def show(what: str, n: int, result: dict[str, float]) -> None:
    print(
        f"{what:<34} {n:>6}  {result['pass']:>7.1%} {result['fail']:>7.1%} {result['inconclusive']:>8.1%}"
        f"  {result['decided_by_named_n']:>8.1%}  {result['named_n']:>9.0f}"
    )


def planned(n: int, runs: int) -> list[dict[str, Any]]:
    """Measure the three drops of the plan."""
    limit = 0.05 + 1.96 * math.sqrt(0.05 * 0.95 / runs)
    floor = POWER - 1.96 * math.sqrt(POWER * (1 - POWER) / runs)
    results = {drop: simulate(drop * MARGIN, n, runs, seed) for seed, drop in enumerate((0, 1, 2))}
    for drop, result in results.items():
        show(f"planned n, true drop {drop} x margin", n, result)
    return [
        row("true drop 2m fails", results[2]["fail"], ">= 0.85", results[2]["fail"] >= 0.85, results[2]),
        row(
            "true drop m fails",
            results[1]["fail"],
            f"<= {limit:.4f}",
            results[1]["fail"] <= limit,
            results[1],
        ),
        row("no drop passes", results[0]["pass"], f">= {floor:.4f}", results[0]["pass"] >= floor, results[0]),
    ]


def named(n: int, runs: int) -> list[dict[str, Any]]:
    """Measure what the named n decides: at the planned n and from a pilot of a quarter of it."""
    rows = []
    for size, label in ((n, "planned"), (n // 4, "pilot")):
        for k, drop in enumerate((0.0, 0.5, 1.5, 2.0)):
            result = simulate(drop * MARGIN, size, runs, 100 + k)
            show(f"{label} n, true drop {drop:g} x margin", size, result)
            share = result["decided_by_named_n"]
            what = f"named n decides ({label} n, true drop {drop:g}m)"
            rows.append(row(what, share, ">= 0.80", share >= 0.80, result))
    return rows


def main() -> None:
    options = arguments(__doc__ or "")
    runs = 500 if options.quick else 2000
    sd = math.sqrt(float(SHAPE @ VALUES**2))
    n = noninferiority_n(MARGIN, sd, POWER, true_drop=2 * MARGIN)
    print(f"margin {MARGIN:.0%}, sd {sd:.3f}, planned n {n} for {POWER:.0%} power; {runs} simulations each")
    print(f"t quantile at n: {stats.t.ppf(0.95, n - 1):.4f}")
    print(f"{'':<34} {'n':>6}  {'pass':>7} {'fail':>7} {'inconcl.':>8}  {'then dec.':>8} {'named n':>9}")
    finish("gate_power", planned(n, runs) + named(n, runs), options)


if __name__ == "__main__":
    main()
