"""Discriminating power of a judge: accuracy, position bias, ties, length bias (contract 6)."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from aligner_bench.stats.clusters import (
    FloatArray,
    Labels,
    Values,
    as_floats,
    as_preferences,
    cluster_codes,
    cluster_sums,
)
from aligner_bench.stats.estimate import Estimate, empty
from aligner_bench.stats.intervals import clopper_pearson, mean_t

CHANCE = 0.5
SLOT_LIMITS = (0.1, 0.9)
"""A first-slot share outside these limits shows that position determines the judge's verdicts."""
POLICIES: dict[str, str] = {
    "average": "mean of both orders",
    "disagreement_is_tie": "a tie where the orders disagree, else their mean",
    "consistent_only": "prompts whose orders agree; the others are left out",
}


def known_winner_accuracy(p: Values, clusters: Labels = None, level: float = 0.95) -> Estimate:
    """Return the accuracy on pairs with a known winner: `p`, shape (n,), is the preference for that winner.

    A tie counts half. Exact (Clopper-Pearson) without ties and families, else the cluster-robust t interval.
    """
    values = as_preferences(p)
    credit = (np.sign(values - 0.5) + 1) / 2
    if not (credit == 0.5).any() and cluster_codes(clusters, values.size)[1] == values.size:
        return clopper_pearson(int(credit.sum()), values.size, level)
    return mean_t(credit, clusters, level)


def _both(first: Values, second: Values) -> tuple[FloatArray, FloatArray]:
    a, b = as_preferences(first, "first"), as_preferences(second, "second")
    if a.size != b.size:
        raise ValueError(f"first has {a.size} rows and second {b.size}; pair the orders by prompt")
    return a, b


def position_consistency(
    first: Values, second: Values, clusters: Labels = None, level: float = 0.95
) -> Estimate:
    """Return the share of prompts whose two orders name the same winner, or both a tie.

    `first` and `second`, shape (n,): preference for the candidate when it is shown first and second.
    """
    a, b = _both(first, second)
    agree = np.sign(a - 0.5) == np.sign(b - 0.5)
    if cluster_codes(clusters, a.size)[1] == a.size:
        return clopper_pearson(int(agree.sum()), a.size, level)
    return mean_t(agree.astype(np.float64), clusters, level)


def first_slot_share(first: Values, second: Values | None = None, level: float = 0.95) -> Estimate:
    """Return the share of decided verdicts won by the answer shown first, with an exact binomial interval.

    `first`: preference for whichever answer is in the first slot, or, when `second` is given, preferences for
    the candidate in first and second place as in `position_consistency`. The unit is the prompt: the two
    orders of one prompt are averaged, and the Clopper-Pearson limits of the fractional count are conservative
    (half points vary less than full ones). n counts prompts.
    """
    if second is None:
        a = as_preferences(first, "first")
        slot = (a[a != 0.5] > 0.5).astype(np.float64)
    else:
        slot = _slot_scores(*_both(first, second))
    if slot.size == 0:
        return empty("clopper-pearson", level)
    n, k, tail = slot.size, float(slot.sum()), (1 - level) / 2
    lower = float(stats.beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0
    upper = float(stats.beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Estimate(k / n, lower, upper, n, "clopper-pearson", level)


def _slot_scores(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the mean share of the first slot over each prompt's decided orders; prompts without one are
    omitted.
    """
    decided = (a != 0.5).astype(np.float64) + (b != 0.5)
    first = (a > 0.5).astype(np.float64) + (b < 0.5)
    return np.asarray(first[decided > 0] / decided[decided > 0], dtype=np.float64)


def tie_policies(
    first: Values, second: Values, clusters: Labels = None, level: float = 0.95
) -> dict[str, Estimate]:
    """Return the mean preference for the candidate under each of `POLICIES`, orders as in
    `position_consistency`.

    Zheng et al. 2023 (arXiv 2306.05685) count a disagreement as a tie. If the three differ by more than their
    intervals, the comparison depends on position.
    """
    a, b = _both(first, second)
    mean, agree = (a + b) / 2, np.sign(a - 0.5) == np.sign(b - 0.5)
    codes = None if clusters is None else cluster_codes(clusters, a.size)[0]
    return {
        "average": mean_t(mean, codes, level),
        "disagreement_is_tie": mean_t(np.where(agree, mean, 0.5), codes, level),
        "consistent_only": mean_t(mean[agree], None if codes is None else codes[agree], level),
    }


def verbosity_slope(
    p: Values,
    length_baseline: Values,
    length_candidate: Values,
    clusters: Labels = None,
    level: float = 0.95,
) -> Estimate:
    """Return the least-squares slope of preference per standard deviation of extra length.

    Preference p, shape (n,), on (candidate - baseline)/sd with intercept; cluster-robust t interval with the
    factor G/(G-1) on G - 1 degrees of freedom. It is descriptive: longer answers may also be better. NaN if
    all differences are equal or there are fewer than three families.
    """
    y = as_preferences(p)
    gap = as_floats(length_candidate, "length_candidate") - as_floats(length_baseline, "length_baseline")
    codes, groups = cluster_codes(clusters, y.size)
    if groups < 3 or gap.std() == 0:
        return Estimate(math.nan, -math.inf, math.inf, y.size, "cluster t", level)
    x = (gap - gap.mean()) / gap.std(ddof=1)
    slope = float(x @ y / (x @ x))
    score = cluster_sums(x * (y - y.mean() - slope * x), codes, groups)
    se = math.sqrt(groups / (groups - 1) * float(score @ score)) / float(x @ x)
    half = float(stats.t.ppf((1 + level) / 2, groups - 1)) * se
    return Estimate(slope, slope - half, slope + half, y.size, "cluster t", level)


def power_failures(accuracy: Estimate | None, slot: Estimate | None) -> list[str]:
    """Return the reasons why a judge has no discriminating power (contract 6), with thresholds; empty if it
    has.

    Pass None for figures that were not measured. A first-slot share is tested by its value, an accuracy by
    its interval.
    """
    reasons = []
    if accuracy is not None and not accuracy.lower > CHANCE:
        reasons.append(
            f"accuracy {accuracy.value:.1%} with interval {accuracy.lower:.1%} to {accuracy.upper:.1%} "
            f"does not exceed {CHANCE:.0%}"
        )
    if slot is not None and not SLOT_LIMITS[0] <= slot.value <= SLOT_LIMITS[1]:
        reasons.append(
            f"first-slot share {slot.value:.1%} is outside {SLOT_LIMITS[0]:.0%} to {SLOT_LIMITS[1]:.0%}"
        )
    return reasons
