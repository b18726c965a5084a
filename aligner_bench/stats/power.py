"""Detectable effects, sample sizes, and the non-inferiority gate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import optimize, special, stats

from aligner_bench.stats.estimate import Estimate

GATE_CONFIDENCE = 0.95
"""Confidence of each one-sided bound of the gate (contract 11)."""
LARGEST_N = 10**9
"""Upper bound of planned sample sizes."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The verdict of the gate.

    Attributes:
        outcome: pass if lower >= -margin, fail if upper < -margin, otherwise inconclusive.
        lower: one-sided 95 % lower bound of (new - baseline).
        upper: one-sided 95 % upper bound.
        margin: the largest drop that is accepted, a positive fraction.
        n_to_decide: prompts that would decide (see `noninferiority`); None if decided or unknown.
    """

    outcome: Literal["pass", "fail", "inconclusive"]
    lower: float
    upper: float
    margin: float
    n_to_decide: int | None


def _z(p: float) -> float:
    return float(special.ndtri(p))


def mde(n: int, sd: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest effect detectable at this level with this power: (z_a + z_b) sd / sqrt(n).

    sd is the standard deviation of one prompt's score (or paired difference), in the units of the effect.
    Infinite for n < 1. Miller 2024 (arXiv 2411.00640, section 5).
    """
    return math.inf if n < 1 else (_z((1 + level) / 2) + _z(power)) * sd / math.sqrt(n)


def required_n(effect: float, sd: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return the prompts needed to detect `effect` with a two-sided test: the inverse of `mde`."""
    if effect == 0:
        raise ValueError("no sample finds an effect of zero")
    return max(2, math.ceil(((_z((1 + level) / 2) + _z(power)) * sd / effect) ** 2))


def noninferiority_n(margin: float, sd: float, power: float = 0.9, true_drop: float = 0.0) -> int:
    """Return the prompts with which the gate decides correctly with this power if the true drop is
    `true_drop`.

    ((z_0.95 + z_power) sd / (margin - true_drop))^2: the gate passes a drop below the margin and fails one
    above. A drop of 2 x margin needs as many as no drop. ValueError for a drop equal to the margin.
    """
    gap = abs(margin - true_drop)
    if gap == 0:
        raise ValueError("a true drop equal to the margin cannot be decided by any n")
    return max(2, math.ceil(((_z(GATE_CONFIDENCE) + _z(power)) * sd / gap) ** 2))


def noninferiority(
    diff: Estimate | tuple[float, float, float], margin: float, n: int | None = None, assurance: float = 0.8
) -> GateDecision:
    """Decide the gate of contract 11 on (new - baseline).

    `diff` is an Estimate (best at level 0.90, whose ends are the two one-sided 95 % bounds; other levels are
    rescaled by normal quantiles, slightly wide for few families) or (mean, standard error, df).
    `margin` > 0. `n` is the number of prompts behind `diff` (an Estimate brings its own).

    An inconclusive decision gives the n of a new sample that decides, either way, with probability
    `assurance`, with the true difference distributed normally around the mean (see `n_for_assurance`); it is
    finite even if the mean equals the margin. NaN or infinite bounds: inconclusive, n unknown. ValueError
    for a margin that is not positive.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive, got {margin}")
    mean, se, lower, upper = _one_sided(diff)
    size = n if n is not None else (diff.n if isinstance(diff, Estimate) else None)
    if lower >= -margin:
        return GateDecision("pass", lower, upper, margin, None)
    if upper < -margin:
        return GateDecision("fail", lower, upper, margin, None)
    known = size is not None and math.isfinite(se) and se > 0
    more = n_for_assurance(size, (mean + margin) / se, assurance) if known and size is not None else None
    return GateDecision("inconclusive", lower, upper, margin, more)


def _one_sided(diff: Estimate | tuple[float, float, float]) -> tuple[float, float, float, float]:
    """Return (mean, standard error, L, U)."""
    if not isinstance(diff, Estimate):
        mean, se, df = diff
        half = float(stats.t.ppf(GATE_CONFIDENCE, df)) * se
        return mean, se, mean - half, mean + half
    z = _z(GATE_CONFIDENCE)
    scale = 1.0 if math.isclose(diff.level, 2 * GATE_CONFIDENCE - 1) else z / _z((1 + diff.level) / 2)
    lower = diff.value - scale * (diff.value - diff.lower)
    upper = diff.value + scale * (diff.upper - diff.value)
    return diff.value, (upper - lower) / (2 * z), lower, upper


def n_for_assurance(n: int, distance: float, assurance: float = 0.8) -> int:
    """Return the size of a new sample that decides with probability `assurance`, at most `LARGEST_N`.

    `distance` is (mean + margin)/se of the present n prompts. With R = N/n and the true difference normal
    around the mean, the new distance is normal with mean `distance` sqrt(R) and variance R + 1; the gate
    decides if its absolute value exceeds z_0.95 (assurance: O'Hagan, Stevens and Campbell 2005, Pharm. Stat.
    4:187).
    """
    z = _z(GATE_CONFIDENCE)

    def shortfall(ratio: float) -> float:
        centre, spread = distance * math.sqrt(ratio), math.sqrt(ratio + 1)
        decided = special.ndtr((centre - z) / spread) + special.ndtr((-centre - z) / spread)
        return float(decided) - assurance

    top = LARGEST_N / n
    if shortfall(top) <= 0:
        return LARGEST_N
    low = 1e-9
    return min(LARGEST_N, math.ceil(n * float(optimize.brentq(shortfall, low, top))))
