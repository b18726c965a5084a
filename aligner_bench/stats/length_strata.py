"""Win rates stratified by length difference: a model-free complement to the length-controlled rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aligner_bench.stats.clusters import Labels, Values, as_floats, as_preferences, cluster_codes
from aligner_bench.stats.estimate import Estimate
from aligner_bench.stats.winrate import win_rate

MATCHED = 0.1
"""Maximum length difference of matched answers, as a share of the longer one."""


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Win rate of the prompts whose length difference (candidate minus baseline) lies in [lower, upper]."""

    lower: float
    upper: float
    estimate: Estimate


def length_matched(
    p: Values,
    length_baseline: Values,
    length_candidate: Values,
    clusters: Labels = None,
    definition: str = "weighted",
    tolerance: float = MATCHED,
    level: float = 0.95,
) -> Estimate:
    """Return the win rate over the pairs whose lengths differ by at most `tolerance` of the longer answer.

    Arrays of shape (n,); lengths in any common unit. NaN if no pair matches.
    """
    values = as_preferences(p)
    base, ours = (
        as_floats(length_baseline, "length_baseline"),
        as_floats(length_candidate, "length_candidate"),
    )
    keep = np.abs(ours - base) <= tolerance * np.maximum(ours, base)
    codes = cluster_codes(clusters, values.size)[0] if clusters is not None else None
    return win_rate(values[keep], definition, None if codes is None else codes[keep], level=level)


def by_length_quantile(
    p: Values,
    length_baseline: Values,
    length_candidate: Values,
    clusters: Labels = None,
    definition: str = "weighted",
    bins: int = 5,
    level: float = 0.95,
) -> list[LengthBin]:
    """Return the win rate per quantile of the length difference (candidate minus baseline), by default
    quintiles.

    Shortest first. Equal differences stay in one bin, so bins can differ in size and even be empty
    (NaN) in tied data.
    """
    values = as_preferences(p)
    longer = as_floats(length_candidate, "length_candidate") - as_floats(length_baseline, "length_baseline")
    if values.size == 0:
        return []
    edges = np.quantile(longer, np.linspace(0, 1, bins + 1))
    home = np.searchsorted(edges[1:-1], longer, side="left")
    codes = cluster_codes(clusters, values.size)[0] if clusters is not None else None
    out = []
    for k in range(bins):
        keep = home == k
        rate = win_rate(values[keep], definition, None if codes is None else codes[keep], level=level)
        out.append(LengthBin(float(edges[k]), float(edges[k + 1]), rate))
    return out
