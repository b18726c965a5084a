"""Tests of differences and trends, and corrections for multiple comparisons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from aligner_bench.stats.clusters import FloatArray, Labels, Values, as_floats, cluster_codes, cluster_sums
from aligner_bench.stats.estimate import Estimate
from aligner_bench.stats.intervals import Bounds, cluster_se, mean_t

Alternative = Literal["two-sided", "increasing", "decreasing"]


def mcnemar_exact(b: int, c: int) -> float:
    """Return the exact two-sided p value of McNemar's test (McNemar 1947, exact binomial form).

    b and c count the prompts that only the first and only the second system answered correctly. 1.0 if both
    are 0.
    """
    return 1.0 if b + c == 0 else float(stats.binomtest(b, b + c, 0.5).pvalue)


def sign_flip_permutation(d: Values, clusters: Labels = None, n: int = 9999, seed: int = 0) -> float:
    """Return the two-sided p value of the hypothesis that the differences d, shape (n,), are symmetric around
    0.

    Whole families flip together. All 2^G flips where that is at most n, else n random ones counted with the
    observed one, (1 + hits)/(1 + n), so that p is never zero (Phipson and Smyth 2010, SAGMB 9:39).
    """
    values = as_floats(d, "d")
    codes, groups = cluster_codes(clusters, values.size)
    sums = cluster_sums(values, codes, groups)
    observed = abs(sums.sum()) * (1 - 1e-12) - 1e-12  # flips of equal sums must count as equal
    if 2**groups <= n:
        flips = np.array(list(itertools.product((-1.0, 1.0), repeat=groups)))
        return float((np.abs(flips @ sums) >= observed).mean())
    return (1 + _random_flips(sums, observed, n, seed)) / (1 + n)


def _random_flips(sums: FloatArray, observed: float, n: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    hits = 0
    for start in range(0, n, 1000):  # bounded memory for many families
        flips = rng.integers(0, 2, size=(min(1000, n - start), sums.size)) * 2.0 - 1.0
        hits += int((np.abs(flips @ sums) >= observed).sum())
    return hits


def paired_difference(
    a: Values, b: Values, clusters: Labels = None, level: float = 0.95, bounds: Bounds = (-1.0, 1.0)
) -> Estimate:
    """Return the mean of a - b over the same prompts with a cluster-robust t interval (Miller 2024, arXiv
    2411.00640).

    a and b have shape (n,) and the same row order; `bounds` is the range of a - b. `level=0.90` gives the two
    one-sided 95 % bounds of the gate. ValueError for different lengths.
    """
    first, second = as_floats(a, "a"), as_floats(b, "b")
    if first.size != second.size:
        raise ValueError(f"a has {first.size} rows and b {second.size}; pair them by prompt first")
    return mean_t(first - second, clusters, level, bounds)


def drop_p(d: Values, margin: float, clusters: Labels = None) -> float:
    """Return the one-sided p value of the null hypothesis that the mean of d, shape (n,), is at least
    -margin.

    Cluster-robust t test on G - 1 degrees of freedom (as `paired_difference`); a small value shows a drop
    beyond the margin. 1.0 for fewer than two families. Without variance it is 0.0 or 1.0.
    """
    values = as_floats(d, "d")
    codes, groups = cluster_codes(clusters, values.size)
    if groups < 2:
        return 1.0
    distance, (se, _) = float(values.mean()) + margin, cluster_se(values, codes)
    if se == 0:
        return float(distance >= 0)
    return float(stats.t.cdf(distance / se, groups - 1))


def independent_difference(a: Estimate, b: Estimate) -> Estimate:
    """Return a - b of two independent estimates of one level, from their own intervals (MOVER).

    L = d - sqrt((a - l_a)^2 + (u_b - b)^2), U likewise (Zou and Donner 2008, Stat. Med. 27:1693).
    Conservative for positively correlated numbers, such as those over the same prompts. `n` is the smaller n.
    ValueError for different levels.
    """
    if a.level != b.level:
        raise ValueError(f"the intervals have different levels, {a.level} and {b.level}")
    value = a.value - b.value
    lower = value - math.hypot(a.value - a.lower, b.upper - b.value)
    upper = value + math.hypot(a.upper - a.value, b.value - b.lower)
    return Estimate(value, lower, upper, min(a.n, b.n), "mover", a.level)


def holm(pvalues: Sequence[float] | FloatArray) -> FloatArray:
    """Return Holm-adjusted p values in the given order (Holm 1979); controls the family-wise error rate.

    Implemented here because statsmodels runs the garbage collector at every call, about 0.2 seconds.
    """
    array = _as_pvalues(pvalues)
    order = np.argsort(array, kind="stable")
    adjusted = np.empty_like(array)
    adjusted[order] = np.maximum.accumulate(array[order] * np.arange(array.size, 0, -1))
    return np.minimum(adjusted, 1.0)


def benjamini_hochberg(pvalues: Sequence[float] | FloatArray) -> FloatArray:
    """Return Benjamini-Hochberg-adjusted p values (1995); controls the false discovery rate."""
    array = _as_pvalues(pvalues)
    return np.asarray(stats.false_discovery_control(array) if array.size else array, dtype=np.float64)


def _as_pvalues(pvalues: Sequence[float] | FloatArray) -> FloatArray:
    array = as_floats(pvalues, "pvalues")
    if array.size and (array.min() < 0 or array.max() > 1):
        raise ValueError("pvalues must lie in [0, 1]")
    return array


def jonckheere(groups: Sequence[Values], alternative: Alternative = "two-sided") -> tuple[float, float]:
    """Compute the Jonckheere-Terpstra test of a trend over ordered groups: (J, p).

    J sums, over pairs of groups i < j, the pairs of values that rise (equal values count half). The p value
    is from the normal approximation with the variance for ties (Hollander and Wolfe 1999, section 6.2),
    without continuity correction; 1.0 where all values are equal. ValueError for fewer than
    two non-empty groups.
    """
    samples = [sample for sample in (as_floats(g, "group") for g in groups) if sample.size]
    if len(samples) < 2:
        raise ValueError("a trend needs at least two groups with values")
    statistic = sum(_rises(low, high) for low, high in itertools.combinations(samples, 2))
    sizes = np.array([s.size for s in samples], dtype=np.float64)
    total = float(sizes.sum())
    variance = _jonckheere_variance(sizes, np.unique(np.concatenate(samples), return_counts=True)[1])
    if variance <= 0:
        return statistic, 1.0
    z = (statistic - (total**2 - float((sizes**2).sum())) / 4) / math.sqrt(variance)
    tail = {"two-sided": 2 * stats.norm.sf(abs(z)), "increasing": stats.norm.sf(z)}
    return statistic, float(tail.get(alternative, stats.norm.cdf(z)))


def _rises(low: FloatArray, high: FloatArray) -> float:
    order = np.sort(low)
    below, upto = np.searchsorted(order, high, "left"), np.searchsorted(order, high, "right")
    return float((below + upto).sum() / 2)


def _jonckheere_variance(sizes: FloatArray, ties: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    n, t = float(sizes.sum()), ties.astype(np.float64)

    def cubic(x: FloatArray) -> float:
        return float((x * (x - 1) * (2 * x + 5)).sum())

    def product(x: FloatArray, k: int) -> float:
        return float((x * (x - 1) * (x - 2 if k == 3 else 1)).sum())

    variance = (n * (n - 1) * (2 * n + 5) - cubic(sizes) - cubic(t)) / 72
    if n > 2:
        variance += product(sizes, 3) * product(t, 3) / (36 * n * (n - 1) * (n - 2))
    return variance + product(sizes, 2) * product(t, 2) / (8 * n * (n - 1))
