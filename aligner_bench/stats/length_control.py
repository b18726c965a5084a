"""Length-controlled win rate: AlpacaEval's model of a judge's length bias, refitted for its interval.

Dubois et al. 2024 (arXiv 2404.04475); constants from AlpacaEval's glm_winrate. With d_i = characters of the
reference's answer minus the candidate's and D_i = d_i / sd(d):

    logit P(candidate preferred) = theta tanh(D_i) + psi difficulty_i + mu [row is not a gamed row]

and the controlled rate is the mean over prompts of that probability with D set to 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aligner_bench.stats.bootstrap import resample_blocks
from aligner_bench.stats.clusters import (
    FloatArray,
    IntArray,
    Labels,
    Values,
    as_floats,
    as_preferences,
    cluster_codes,
)
from aligner_bench.stats.estimate import Estimate, empty
from aligner_bench.stats.intervals import from_replicates, mean_t
from aligner_bench.stats.lc_solver import LIBLINEAR_TOLERANCE, fit_l1_logistic, log_loss

FORMS: dict[str, str] = {
    "length_controlled_v1": "LC",
    "noreg": "LC (noreg)",
    "minimal": "LC (minimal)",
}
"""Form of the model -> the name under which its rate is shown.

`length_controlled_v1` has difficulties and gamed rows, `noreg` difficulties only, `minimal` neither. The
first two are defined only for the 805 prompts of AlpacaEval; other suites have only LC (minimal).
"""
PENALTIES: FloatArray = np.logspace(-4, 4, 10)
"""The values of C that cross-validation chooses from (scikit-learn's default)."""
FOLDS = 5
GAMED_WEIGHT = 0.1
"""Weight of a gamed row: lambda = 0.2 shared by two gamed models."""
BLOCK = 2_000_000
"""Maximum number of matrix entries per block of replicates; bounds memory."""
_MOST_LEFT_OUT, _PARTS = 1000, 200
Refits = Literal["free", "kept", "rechosen"]
REFITS: dict[str, str] = {
    "free": "unpenalised (C = 10,000)",
    "kept": "at the C chosen on all rows",
    "rechosen": "at a C chosen in each replicate (slow)",
}
"""The penalty used for refitting replicates.

The rate itself always uses the C chosen by cross-validation, as published. Its interval uses "free" refits
by default: with few data the chosen penalty shrinks the rate and all replicates towards 0.5, and intervals
of "kept" refits have low coverage (90 % at n = 200, 95 % with "free"; benchmarks/coverage). The interval is
extended to contain the rate.
"""


@dataclass(frozen=True, slots=True)
class GamedRows:
    """The rows of AlpacaEval's df_gamed.csv: the reference, prompted to be verbose or concise, vs. itself.

    Three arrays of equal length: the columns `preference` (in [0, 1]), `std_delta_len` and
    `instruction_difficulty` of the file.
    """

    preference: FloatArray
    std_delta: FloatArray
    difficulty: FloatArray


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """A length-controlled win rate and the model behind it.

    Attributes:
        estimate: the rate, a fraction, with its BCa interval over refits.
        form: key of `FORMS`; label: the name to print.
        theta: weight of tanh(D).
        psi: weight of the difficulty (None if the form has none).
        mu: the candidate's weight.
        c: liblinear's C, chosen by cross-validation.
        raw: mean preference before control, a fraction.
        extreme: whether AlpacaEval would warn about the size of the change (see `extreme_change`).
        fitted_sem: standard error of the fitted values alone: AlpacaEval's `lc_standard_error` as a fraction.
            It ignores the uncertainty of the model (0 for the minimal form); for comparison only.
    """

    estimate: Estimate
    form: str
    label: str
    theta: float
    psi: float | None
    mu: float
    c: float
    raw: float
    extreme: bool
    fitted_sem: float


@dataclass(frozen=True, slots=True)
class _Data:
    """Input of the fit: the g gamed rows first, as in AlpacaEval, then the suite's own n rows."""

    y: FloatArray  # (g + n,)
    judged: FloatArray  # (g + n,), 1.0 where there is a preference
    delta: FloatArray  # (n,)
    difficulty: FloatArray | None  # (g + n,)
    gamed_delta: FloatArray  # (g,)
    folds: IntArray  # (g + n,)

    def features(self, counts: FloatArray) -> list[FloatArray]:
        """Return the design of every replicate; counts (B, n) are the draws of each own row."""
        own = np.tanh(self.delta * _inverse_sd(self.delta, counts)[:, None])
        gamed = np.broadcast_to(np.tanh(self.gamed_delta), (counts.shape[0], self.gamed_delta.size))
        length = np.concatenate([gamed, own], axis=1) if self.gamed_delta.size else own
        ours = np.concatenate([np.zeros(self.gamed_delta.size), np.ones(self.delta.size)])
        constant = ours if self.gamed_delta.size else np.array(1.0)
        return [length, constant] if self.difficulty is None else [length, self.difficulty, constant]

    def weights(self, counts: FloatArray) -> FloatArray:
        """Return the weight of every row in every replicate, (B, g + n), before C."""
        gamed = np.full((counts.shape[0], self.gamed_delta.size), GAMED_WEIGHT)
        return np.concatenate([gamed, counts], axis=1) * self.judged

    def fitted(self, w: FloatArray) -> FloatArray:
        """Return P(candidate preferred) at equal length for the own rows, (B, n), or (B, 1) if equal."""
        z = w[:, -1:]
        if self.difficulty is not None:
            z = z + w[:, 1:2] * self.difficulty[None, self.gamed_delta.size :]
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z), dtype=np.float64)

    def rates(self, w: FloatArray, counts: FloatArray) -> FloatArray:
        """Return the controlled rate of every replicate, (B,)."""
        fitted = self.fitted(w)
        weighted = (fitted * counts).sum(axis=1) / counts.sum(axis=1)
        return np.asarray(fitted[:, 0] if fitted.shape[1] == 1 else weighted, dtype=np.float64)


def _inverse_sd(delta: FloatArray, counts: FloatArray) -> FloatArray:
    """Return 1/sd of the drawn length differences, (B,); 0 if all are equal, so that length has no effect."""
    n = counts.sum(axis=1)
    mean = counts @ delta / n
    square = np.maximum(counts @ delta**2 - n * mean**2, 0.0) / np.maximum(n - 1, 1)
    flat = square <= 1e-12 * (1 + mean**2)
    return np.asarray(np.where(flat, 0.0, 1 / np.sqrt(np.where(flat, 1.0, square))), dtype=np.float64)


def _folds(judged: FloatArray, visit: IntArray) -> IntArray:
    """Return the fold of every row as assigned by scikit-learn's GroupKFold: judged rows, last first."""
    rank = np.empty(judged.size, dtype=np.int64)
    rank[visit] = np.cumsum(judged[visit]).astype(np.int64) - 1
    return np.asarray((int(judged.sum()) - 1 - rank) % FOLDS)


def lc_win_rate(
    p: Values,
    length_baseline: Values,
    length_candidate: Values,
    form: str = "minimal",
    *,
    clusters: Labels = None,
    difficulty: Values | None = None,
    gamed: GamedRows | None = None,
    order: Sequence[str] | Sequence[int] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    refits: Refits = "free",
) -> LengthControlled:
    """Return the length-controlled win rate of the candidate, with a BCa interval over refitted replicates.

    `p`: preferences, shape (n,); NaN marks a row without a verdict, which counts for sd(d) and in the final
    mean but not in the fit, as in AlpacaEval. Lengths are in characters, shape (n,). `difficulty`, shape
    (n,), is for `length_controlled_v1` and `noreg` (see `match_difficulties`), `gamed` for the former.
    `order`: sort keys for assigning rows to the folds that choose C, so that the order of rows does not
    matter; without them rows are assigned in the given order, as in AlpacaEval.
    Replicates resample families, recompute sd(d) and refit (penalty: see `REFITS`).

    A candidate equal to the reference (all ties at equal length) is 0.5 by definition. Fewer than five
    judged rows give NaN. ValueError for an unknown form or missing inputs.
    """
    data = _prepare(p, length_baseline, length_candidate, form, difficulty, gamed, order)
    own = data.y[data.gamed_delta.size :][data.judged[data.gamed_delta.size :] > 0]
    raw = float(own.mean()) if own.size else math.nan
    if own.size < FOLDS:
        return _without_fit(form, raw, level)
    ones = np.ones((1, data.delta.size))
    c = _choose_c(data, ones)
    w = _fit(data, ones, c)
    estimate = _estimate(data, w, _refit_c(refits, c), own, clusters, n_boot, seed, level)
    fitted = data.fitted(w)[0]
    return LengthControlled(
        estimate=estimate,
        form=form,
        label=FORMS[form],
        theta=float(w[0, 0]),
        psi=None if data.difficulty is None else float(w[0, 1]),
        mu=float(w[0, -1]),
        c=float(c[0]),
        raw=raw,
        extreme=extreme_change(raw, estimate.value),
        fitted_sem=float(fitted.std(ddof=1)) / math.sqrt(fitted.size) if fitted.size > 1 else 0.0,
    )


def _without_fit(form: str, raw: float, level: float) -> LengthControlled:
    """Return the result for too few rows: NaN except for the raw rate."""
    gone = math.nan
    nothing = empty("bca refit", level)
    return LengthControlled(nothing, form, FORMS[form], gone, None, gone, gone, raw, False, gone)


def _prepare(
    p: Values,
    length_baseline: Values,
    length_candidate: Values,
    form: str,
    difficulty: Values | None,
    gamed: GamedRows | None,
    order: Sequence[str] | Sequence[int] | None,
) -> _Data:
    """Check the inputs against the form and stack gamed and own rows."""
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}, expected one of {', '.join(FORMS)}")
    given = np.asarray(p, dtype=np.float64)
    judged = np.isfinite(given)
    as_preferences(given[judged])
    delta = as_floats(length_baseline, "length_baseline") - as_floats(length_candidate, "length_candidate")
    if delta.size != given.size:
        raise ValueError(f"p has {given.size} rows and the lengths {delta.size}")
    _check_form(form, difficulty, gamed, given.size)
    extra = gamed if form == "length_controlled_v1" else None
    front = np.zeros(0) if extra is None else extra.preference
    levels = None if form == "minimal" or difficulty is None else as_floats(difficulty, "difficulty")
    if extra is not None and levels is not None:
        levels = np.concatenate([extra.difficulty, levels])
    flags = np.concatenate([np.ones(front.size), judged.astype(np.float64)])
    visit = np.arange(given.size) if order is None else np.argsort(np.asarray(order), kind="stable")
    return _Data(
        y=np.concatenate([front, np.where(judged, given, 0.5)]),
        judged=flags,
        delta=delta,
        difficulty=levels,
        gamed_delta=np.zeros(0) if extra is None else extra.std_delta,
        folds=_folds(flags, np.concatenate([np.arange(front.size), front.size + visit])),
    )


def _check_form(form: str, difficulty: Values | None, gamed: GamedRows | None, n: int) -> None:
    if form != "minimal" and (difficulty is None or len(difficulty) != n):
        raise ValueError(f"the form {form} needs the difficulty of each of the {n} rows")
    if form == "length_controlled_v1" and gamed is None:
        raise ValueError("the form length_controlled_v1 needs the gamed rows")


def _fit(
    data: _Data, counts: FloatArray, c: FloatArray, tolerance: float = LIBLINEAR_TOLERANCE
) -> FloatArray:
    """Return coefficients (B, p) of replicates with counts (B, n) at C (B,) or (1,)."""
    return fit_l1_logistic(data.features(counts), data.y, data.weights(counts) * c[:, None], tolerance)


def _choose_c(data: _Data, counts: FloatArray) -> FloatArray:
    """Return C of every replicate, (B,): least mean log loss over five folds; the smallest of equal ones."""
    return np.array([_choose_one(data, row[None, :]) for row in counts])


def _choose_one(data: _Data, counts: FloatArray) -> float:
    features, weights = [x[0] if x.ndim == 2 else x for x in data.features(counts)], data.weights(counts)[0]
    held_out = data.folds == np.arange(FOLDS)[:, None]
    training = np.where(held_out, 0.0, weights)
    grid = (PENALTIES[:, None, None] * training).reshape(-1, weights.size)
    w = fit_l1_logistic(features, data.y, grid, streams=np.repeat(np.arange(PENALTIES.size), FOLDS))
    loss = log_loss(features, data.y, w).reshape(PENALTIES.size, FOLDS, -1)
    size = (held_out * _multiplicity(data, counts)).sum(axis=1)
    scores = (loss * held_out * weights).sum(axis=2) / size
    return float(PENALTIES[int(np.argmin(scores.sum(axis=1)))])


def _multiplicity(data: _Data, counts: FloatArray) -> FloatArray:
    """Return the number of rows that each row represents: fold averages divide by rows, not by weights."""
    gamed = np.ones((1, data.gamed_delta.size))
    return np.asarray(np.concatenate([gamed, counts], axis=1) * data.judged, dtype=np.float64)


def _estimate(
    data: _Data,
    w: FloatArray,
    c: FloatArray | None,
    own: FloatArray,
    clusters: Labels,
    n_boot: int,
    seed: int,
    level: float,
) -> Estimate:
    """Return the rate of the fit w with its interval from refits at c; None: C is chosen in each refit."""
    n = data.delta.size
    if not data.delta.any() and (own == 0.5).all():
        return mean_t(own, None if clusters is None else np.asarray(clusters)[data.judged[-n:] > 0], level)
    ones = np.ones((1, n))
    value = float(data.rates(w, ones)[0])
    codes, groups = cluster_codes(clusters, n)
    if groups < 2:
        return Estimate(value, 0.0, 1.0, own.size, "bca refit", level)
    replicates = _refit(data, c, _drawn(groups, n_boot, seed, codes))
    jackknife = _refit(data, c, _left_out(groups, codes))
    centre = value if c is None else float(data.rates(_fit(data, ones, c), ones)[0])
    free = from_replicates(centre, replicates, jackknife, own.size, level, (0.0, 1.0))
    lower, upper = min(free.lower, value), max(free.upper, value)
    return Estimate(value, lower, upper, own.size, "bca refit", level)


def _refit_c(refits: Refits, chosen: FloatArray) -> FloatArray | None:
    """Return C of the replicates, shape (1,); None if each replicate chooses its own."""
    if refits not in REFITS:
        raise ValueError(f"unknown refits {refits!r}, expected one of {', '.join(REFITS)}")
    return {"free": PENALTIES[-1:], "kept": chosen, "rechosen": None}[refits]


def _refit(data: _Data, c: FloatArray | None, blocks: Iterable[FloatArray]) -> FloatArray:
    """Return the controlled rate of every replicate in blocks of counts (B, n)."""
    rates = []
    for counts in blocks:
        w = _fit(data, counts, _choose_c(data, counts) if c is None else c)
        rates.append(data.rates(w, counts))
    return np.concatenate(rates)


def _drawn(groups: int, n_boot: int, seed: int, codes: IntArray) -> Iterator[FloatArray]:
    """Yield row counts of bootstrap samples of families, in blocks."""
    for counts in resample_blocks(groups, n_boot, max(1, BLOCK // codes.size), seed):
        yield counts[:, codes]


def _left_out(groups: int, codes: IntArray) -> Iterator[FloatArray]:
    """Yield row counts with one family left out at a time, in blocks.

    More than `_MOST_LEFT_OUT` families are left out in `_PARTS` groups instead, since the work would grow
    with the square of their number. Sums over groups of m families have a skewness smaller by sqrt(m), and
    there are fewer by m, so the acceleration estimates the same quantity.
    """
    parts, member = (groups, codes) if groups <= _MOST_LEFT_OUT else (_PARTS, codes % _PARTS)
    size = max(1, BLOCK // codes.size)
    for begin in range(0, parts, size):
        left = np.arange(begin, min(begin + size, parts))
        yield (member != left[:, None]).astype(np.float64)


def extreme_change(raw: float, controlled: float) -> bool:
    """Return AlpacaEval's warning, on fractions: the controlled rate is below min(3r/4, r - 0.1), or likewise
    above.

    It indicates that the length model may have failed. NaN: False.
    """
    low = min(raw * 0.75, raw - 0.1)
    high = max(raw + (1 - raw) / 4, raw + 0.1)
    return controlled < low or controlled > high


def match_difficulties(instructions: Sequence[str], known: Mapping[str, float]) -> FloatArray | None:
    """Return the difficulty of each instruction, by its text; None if any is unknown (use `minimal` then).

    The published difficulties belong to the 805 AlpacaEval prompts; they must not be matched by row number.
    """
    if any(text not in known for text in instructions):
        return None
    return np.array([known[text] for text in instructions], dtype=np.float64)
