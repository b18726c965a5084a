"""The definitions of a win rate that papers and tools use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from aligner_bench.stats.clusters import (
    FloatArray,
    IntArray,
    Labels,
    Values,
    as_preferences,
    cluster_codes,
    cluster_sums,
    encode,
)
from aligner_bench.stats.estimate import Estimate, empty
from aligner_bench.stats.intervals import mean_t, unseen_share, wilson

DEFINITIONS: dict[str, str] = {
    "strict": "wins among decided prompts; ties are left out (Ngweta et al., as coded)",
    "strict_all": "wins among all prompts; a tie is not a win (Ngweta et al., as worded)",
    "discrete": "wins plus half of the ties, among all prompts (AlpacaEval's discrete win rate)",
    "weighted": "mean of the graded preferences, as AlpacaEval 2 averages them",
    "omega": "wins minus losses, among all prompts, from -1 to 1 (Ji et al., eq. 5)",
    "compare_no_drop": "share of prompts that are not lost; a tie counts as a win",
    "macro": "unweighted mean over categories of the strict rate (Ngweta et al., tables 3 and 6)",
}


@dataclass(frozen=True, slots=True)
class WinCounts:
    """Numbers of prompts that the candidate won, tied and lost, of n."""

    wins: int
    ties: int
    losses: int
    n: int


def counts(p: Values) -> WinCounts:
    """Count wins (p > 0.5), ties (p == 0.5) and losses (p < 0.5) of preferences p, shape (n,)."""
    values = as_preferences(p)
    wins, losses = int((values > 0.5).sum()), int((values < 0.5).sum())
    return WinCounts(wins, values.size - wins - losses, losses, values.size)


def win_rate(
    p: Values,
    definition: str,
    clusters: Labels = None,
    categories: Labels = None,
    level: float = 0.95,
) -> Estimate:
    """Return the win rate of the candidate by one of `DEFINITIONS`, a fraction (omega: -1 to 1), with its
    interval.

    `p` has shape (n,); `clusters` are family labels; `categories` are needed for `macro` only.
    Shares of prompts have Wilson's interval if every prompt is its own family, a cluster-robust t interval
    otherwise; means of graded values always have the t interval (see `mean_t` for data without variance: if
    all are ties, discrete is 0.5 with a margin of about 1.8/n on either side at 95 %).
    ValueError for an unknown definition, or `macro` without categories.
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"unknown definition {definition!r}, expected one of {', '.join(DEFINITIONS)}")
    values = as_preferences(p)
    if definition == "macro":
        return _macro(values, clusters, categories, level)
    if definition == "weighted":
        return mean_t(values, clusters, level)
    sign = np.sign(values - 0.5)
    if definition in ("discrete", "omega"):
        rate = mean_t((sign + 1) / 2, clusters, level)
        return rate if definition == "discrete" else rate.shifted(2, -1)
    if definition == "strict":
        return _share(sign[sign != 0] > 0, _subset(clusters, sign != 0), level)
    return _share(sign > 0 if definition == "strict_all" else sign >= 0, clusters, level)


def _subset(labels: Labels, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Labels:
    return None if labels is None else [label for label, kept in zip(labels, keep, strict=True) if kept]


def _share(hits: np.ndarray[tuple[int], np.dtype[np.bool_]], clusters: Labels, level: float) -> Estimate:
    """Return the share of True: Wilson for families of one, cluster-robust t otherwise."""
    if cluster_codes(clusters, hits.size)[1] == hits.size:
        return wilson(int(hits.sum()), hits.size, level)
    return mean_t(hits.astype(np.float64), clusters, level)


def _macro(values: FloatArray, clusters: Labels, categories: Labels, level: float) -> Estimate:
    """Return the unweighted mean of per-category strict rates; categories without a decided prompt are
    omitted.

    Categories are fixed strata, so only the variance within them counts. If no family crosses categories,
    their rates are independent, and the limits of each (Wilson or cluster t) are combined by MOVER:
    L = m - sqrt(sum ((r_k - l_k)/K)^2), U likewise (Zou and Donner 2008, Stat. Med. 27:1693). Unlike a pooled
    variance this keeps the uncertainty of a category won 10 of 10. If families cross categories, the
    linearised mean is summed by family instead (cluster t).
    """
    if categories is None:
        raise ValueError("the macro rate needs the category of every prompt")
    strata, _ = cluster_codes(categories, values.size)
    families, _ = cluster_codes(clusters, values.size)
    decided = values != 0.5
    hits, strata, families = values[decided] > 0.5, encode(strata[decided]), encode(families[decided])
    if hits.size == 0:
        return empty("mover", level)
    if _crosses(strata, families):
        return _macro_linear(hits.astype(np.float64), strata, families, level)
    parts = [_share(hits[strata == k], families[strata == k], level) for k in range(int(strata.max()) + 1)]
    return _mover(parts, hits.size, level)


def _crosses(strata: IntArray, families: IntArray) -> bool:
    """Return whether some family has prompts in more than one category."""
    return len(set(zip(families.tolist(), strata.tolist(), strict=True))) > len(set(families.tolist()))


def _mover(parts: list[Estimate], n: int, level: float) -> Estimate:
    value = sum(part.value for part in parts) / len(parts)
    below = math.sqrt(sum((part.value - part.lower) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(sum((part.upper - part.value) ** 2 for part in parts)) / len(parts)
    return Estimate(value, max(value - below, 0.0), min(value + above, 1.0), n, "mover", level)


def _macro_linear(hits: FloatArray, strata: IntArray, families: IntArray, level: float) -> Estimate:
    sizes = np.bincount(strata)
    rates = np.bincount(strata, weights=hits) / sizes
    value, groups = float(rates.mean()), int(families.max()) + 1
    if groups < 2:
        return Estimate(value, 0.0, 1.0, hits.size, "cluster t", level)
    influence = cluster_sums((hits - rates[strata]) / (sizes.size * sizes[strata]), families, groups)
    se = math.sqrt(groups / (groups - 1) * float(influence @ influence))
    half = float(stats.t.ppf((1 + level) / 2, groups - 1)) * se
    share = 0.0 if half > 1e-12 else unseen_share(groups, level)
    below, above = max(half, share * value), max(half, share * (1 - value))
    return Estimate(value, max(value - below, 0.0), min(value + above, 1.0), hits.size, "cluster t", level)
