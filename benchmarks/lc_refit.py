"""Speed of refitting the length-controlled model, and agreement of each refit with liblinear.

One bootstrap replicate redraws the 805 prompts, recomputes sd(d) and refits the minimal form. Three methods
alternate on the same replicates, in one process: the batch solver; AlpacaEval's own fit (with its
cross-validation of C, without its design matrix); one liblinear fit at a fixed C through scikit-learn.
Times are per refit, so the rivals may do fewer of them per round. Needs the package alpaca-eval and the
public AlpacaEval results.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _common import arguments, finish, spread
from scipy import special

from aligner_bench.stats.bootstrap import resample_counts
from aligner_bench.stats.lc_solver import fit_l1_logistic
from aligner_bench.stats.length_control import REFITS as REFITS_BY
from aligner_bench.stats.length_control import Refits, lc_win_rate

MODEL = "gpt-3.5-turbo-1106"
"""The model whose rate changes most under length control, so that the fit matters."""
ROUNDS, REFITS = 5, 1000
Floats = np.ndarray[Any, np.dtype[np.float64]]


def load(data: Path) -> tuple[Floats, Floats, Floats]:
    """Return preferences in [0, 1] and both lengths of one annotated model."""
    path = data / "alpaca_eval" / "results" / MODEL / "weighted_alpaca_eval_gpt4_turbo" / "annotations.json"
    rows = [r for r in json.loads(path.read_text(encoding="utf-8")) if r["preference"] is not None]
    p = np.array([r["preference"] for r in rows], dtype=np.float64)
    base, ours = (np.array([len(r[k]) for r in rows], dtype=np.float64) for k in ("output_1", "output_2"))
    return np.where(p == 0, 1.5, p) - 1, base, ours


def length_terms(delta: Floats, counts: Floats) -> Floats:
    """Return tanh of the length difference over the replicate's own sd, shape (B, n)."""
    n = counts.sum(axis=1)
    mean = counts @ delta / n
    sd = np.sqrt((counts @ delta**2 - n * mean**2) / (n - 1))
    return np.tanh(delta / sd[:, None])


def ours(p: Floats, delta: Floats, counts: Floats, c: float, tolerance: float = 1e-4) -> Floats:
    """Return the controlled rates of all replicates, in points."""
    w = fit_l1_logistic([length_terms(delta, counts), np.array(1.0)], p, counts * c, tolerance)
    return 100 * special.expit(w[:, 1])


def liblinear(p: Floats, delta: Floats, counts: Floats, c: float, tolerance: float = 1e-4) -> float:
    """Return the controlled rate of one replicate through scikit-learn, every row twice."""
    from sklearn.linear_model import LogisticRegression

    x = np.column_stack([length_terms(delta, counts[None])[0], np.ones(p.size)])
    model = LogisticRegression(
        C=c,
        l1_ratio=1.0,
        solver="liblinear",
        fit_intercept=False,
        random_state=123,
        tol=tolerance,
        max_iter=1000,
    )
    labels = np.repeat([1, 0], p.size)
    model.fit(np.vstack([x, x]), labels, sample_weight=np.concatenate([counts * p, counts * (1 - p)]))
    return 100 * float(special.expit(model.coef_[0, 1]))


def alpaca_frame(p: Floats, delta: Floats, counts: Floats) -> Any:
    """Return the design AlpacaEval would build for a replicate, with its own function."""
    import pandas as pd
    from alpaca_eval.metrics.glm_winrate import GLM_INFO, make_dmatrix_for_model

    rows = np.repeat(np.arange(p.size), counts.astype(int))
    frame = pd.DataFrame({"preference": p[rows], "std_delta_len": delta[rows] / delta[rows].std(ddof=1)})
    frame["not_gamed_baseline"] = True
    formula = GLM_INFO["length_controlled_minimal"]["formula"]
    return make_dmatrix_for_model(frame, frame, formula=formula)[0]


def alpaca_fit(frame: Any) -> None:
    from alpaca_eval.metrics.glm_winrate import fit_LogisticRegressionCV

    fit_LogisticRegressionCV(frame, "preference", is_ytrue_proba=True, n_splits=5)


def timed(work: Callable[[], object], per: int) -> float:
    """Return milliseconds for each of `per` refits."""
    begin = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begin) / per


def measure(p: Floats, delta: Floats, c: float, calls: int) -> tuple[list[list[float]], float]:
    """Return times of (ours, AlpacaEval, liblinear) by round, and the largest difference from liblinear."""
    times: list[list[float]] = [[], [], []]
    worst = 0.0
    for turn in range(ROUNDS):
        counts = resample_counts(p.size, REFITS, seed=turn)
        frames = [alpaca_frame(p, delta, row) for row in counts[:calls]]
        fitted, single = np.empty(REFITS), np.empty(calls)

        def batch(fitted: Floats = fitted, counts: Floats = counts) -> None:
            fitted[:] = ours(p, delta, counts, c)

        def alone(single: Floats = single, counts: Floats = counts) -> None:
            single[:] = [liblinear(p, delta, row, c) for row in counts[: single.size]]

        times[0].append(timed(batch, REFITS))
        times[1].append(timed(lambda frames=frames: [alpaca_fit(f) for f in frames], calls))
        times[2].append(timed(alone, calls))
        worst = max(worst, float(np.abs(fitted[:calls] - single).max()))
    return times, worst


def optimum_gap(p: Floats, delta: Floats, c: float, checks: int) -> tuple[float, float]:
    """Return the largest difference from liblinear at the optimum, and the effect of early stopping."""
    counts = resample_counts(p.size, checks, seed=99)
    exact = ours(p, delta, counts, c, 1e-9)
    rival = np.array([liblinear(p, delta, row, c, 1e-9) for row in counts])
    return float(np.abs(exact - rival).max()), float(np.abs(exact - ours(p, delta, counts, c)).max())


def penalty_effect(p: Floats, base: Floats, candidate: Floats, n_boot: int) -> dict[str, list[float]]:
    """Return interval ends in points by the penalty of the refits (`length_control.REFITS`)."""
    kinds: tuple[Refits, ...] = ("free", "kept", "rechosen")
    found = {k: lc_win_rate(p, base, candidate, n_boot=n_boot, refits=k).estimate for k in kinds}
    return {kind: [100 * e.lower, 100 * e.upper] for kind, e in found.items()}


def compared(name: str, mine: list[float], theirs: list[float], goal: float) -> dict[str, Any]:
    """Print one line of the table; return its row: milliseconds per refit and the ratio of medians."""
    a, b = spread(mine), spread(theirs)
    ratio = b["median"] / a["median"]
    rounds = [t / m for m, t in zip(mine, theirs, strict=True)]
    print(
        f"{name:<34} {a['median']:>9.4f} {b['median']:>9.3f} {ratio:>8.0f}x"
        f"  ({min(rounds):.0f}x to {max(rounds):.0f}x)  goal {goal:.0f}x"
    )
    return {
        "name": f"lc_refit {name}",
        "ours": a["median"],
        "rival": b["median"],
        "unit": "ms a refit",
        "ratio": ratio,
        "ratio_range": [min(rounds), max(rounds)],
        "goal": goal,
        "ok": ratio >= goal,
    }


def judged(name: str, value: float, goal: float) -> dict[str, Any]:
    print(f"{name:<58} {value:.2e} points  goal {goal:g}")
    return {
        "name": f"lc_refit {name}",
        "ours": value,
        "rival": None,
        "unit": "points",
        "ratio": None,
        "goal": goal,
        "ok": value <= goal,
    }


def main() -> None:
    options = arguments(__doc__ or "")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        import alpaca_eval.metrics.glm_winrate  # noqa: F401

        p, base, candidate = load(options.data_dir)
    except (ImportError, OSError) as error:
        sys.exit(f"lc_refit needs the package alpaca-eval and {options.data_dir}/alpaca_eval: {error}")
    delta, calls = base - candidate, 20 if options.quick else 200
    c = lc_win_rate(p, base, candidate, n_boot=100).c
    print(
        f"{p.size} rows of {MODEL}, C = {c:.4g}; {ROUNDS} rounds, {REFITS} refits of ours, {calls} of a rival"
    )
    print(f"{'':<34} {'ours ms':>9} {'rival ms':>9} {'ratio':>9}")
    times, worst = measure(p, delta, c, calls)
    gap, early = optimum_gap(p, delta, c, calls)
    n_boot = 200 if options.quick else 1000
    effect = penalty_effect(p, base, candidate, n_boot)
    rows = [
        compared("against AlpacaEval's fit", times[0], times[1], 300),
        compared("against liblinear at one C", times[0], times[2], 5),
        judged("largest difference from liblinear, default tolerance", worst, 1e-3),
        judged("largest difference from liblinear, both at the optimum", gap, 1e-3),
    ]
    print(f"stopping at the default tolerance moves a rate by up to {early:.3f} points")
    for kind, (lower, upper) in effect.items():
        print(f"95 % interval, refits {REFITS_BY[kind]}: {lower:.2f} to {upper:.2f}")
    shift = max(abs(x - y) for x, y in zip(effect["kept"], effect["rechosen"], strict=True))
    report = {"name": "lc_refit effect of fixing C on the interval's ends", "ours": shift, "unit": "points"}
    finish(
        "lc_refit",
        [
            *rows,
            {
                **report,
                "rival": None,
                "ratio": None,
                "goal": None,
                "ok": True,
                "n_boot": n_boot,
                "intervals": effect,
            },
        ],
        options,
    )


if __name__ == "__main__":
    main()
