"""Tests of a trend of a rate over an ordered factor, such as model size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from aligner_bench.stats.clusters import FloatArray, Labels
from aligner_bench.stats.estimate import Estimate
from aligner_bench.stats.intervals import cluster_se, mean_t


def slope_per_doubling(
    table: ArrayLike,
    sizes: Sequence[float],
    clusters: Labels = None,
    level: float = 0.95,
    span: float = 1.0,
) -> tuple[Estimate, float]:
    """Return the mean change of a value for each doubling of size, with its interval and two-sided p value.

    ``table`` is (blocks, sizes): each block, such as a prompt, has a value at every size. The least-squares
    slope over log2(size) is computed within each block, which removes block effects; slopes are then averaged
    with a cluster-robust t interval, ``clusters`` being the blocks' families. This is the regression with
    block fixed effects and errors clustered by family.
    ``span`` is the width of the range that values can take. p is NaN for fewer than two families. ValueError
    for fewer than two different sizes, or sizes that are not above 0.
    """
    values = np.atleast_2d(np.asarray(table, dtype=np.float64))
    weights = _weights(sizes, values.shape[1])
    slopes: FloatArray = values @ weights
    reach = 0.5 * span * float(np.abs(weights).sum())
    estimate = mean_t(slopes, clusters, level, bounds=(-reach, reach))
    return estimate, _p_of_mean(slopes, clusters)


def _weights(sizes: Sequence[float], columns: int) -> FloatArray:
    if len(sizes) != columns:
        raise ValueError(f"{len(sizes)} sizes for {columns} columns")
    if min(sizes, default=0.0) <= 0 or len(set(sizes)) < 2:
        raise ValueError("a trend needs at least two different sizes above 0")
    x = np.log2(np.asarray(sizes, dtype=np.float64))
    x -= x.mean()
    return np.asarray(x / (x @ x))


def _p_of_mean(values: FloatArray, clusters: Labels) -> float:
    """Return the two-sided p value of "the mean is 0" by a cluster t test; 1 if all values are 0."""
    if values.size == 0:
        return math.nan
    mean = float(values.mean())
    se, groups = cluster_se(values, clusters)
    if groups < 2:
        return math.nan
    if se <= 1e-12:
        return 1.0 if abs(mean) <= 1e-12 else math.nan
    return float(2 * stats.t.sf(abs(mean) / se, groups - 1))


def page(table: ArrayLike) -> tuple[float, float]:
    """Return Page's L over (blocks, treatments in the expected order) and its two-sided p value (Page 1963).

    The p value is twice the smaller of the two one-sided ones, at most 1. ValueError for fewer than three
    treatments or two blocks.
    """
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 3:
        raise ValueError("Page's test needs at least two blocks of at least three treatments")
    up = stats.page_trend_test(values)
    down = stats.page_trend_test(values[:, ::-1])
    return float(up.statistic), min(1.0, 2 * min(float(up.pvalue), float(down.pvalue)))
