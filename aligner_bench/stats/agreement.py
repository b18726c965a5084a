"""Agreement between judges or with human labels, and rates corrected for an imperfect judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from aligner_bench.stats.bootstrap import resample_counts
from aligner_bench.stats.clusters import FloatArray, IntArray, Labels, cluster_codes
from aligner_bench.stats.estimate import Estimate, empty
from aligner_bench.stats.intervals import from_replicates

Weights = Literal["none", "linear", "quadratic"]
Scale = Literal["nominal", "ordinal", "interval"]
Tables = Callable[[FloatArray], FloatArray]


def _categories(values: Sequence[Hashable]) -> tuple[list[Hashable], dict[Hashable, int]]:
    """Return the distinct values, sorted if they are comparable, and their codes."""
    distinct: list[Any] = list(dict.fromkeys(values))
    try:
        distinct.sort()
    except TypeError:
        distinct.sort(key=repr)
    return distinct, {value: code for code, value in enumerate(distinct)}


def _bootstrap(
    tables: FloatArray, codes: IntArray, groups: int, statistic: Tables, n_boot: int, seed: int, level: float
) -> Estimate:
    """Return the BCa interval of a statistic of summed tables: `tables` (n, K, K) of the units, summed by
    family.
    """
    n, k = tables.shape[0], tables.shape[1]
    total = tables.sum(axis=0)
    value = float(statistic(total[None])[0])
    if groups < 2 or math.isnan(value):
        return Estimate(value, -1.0, 1.0, n, "bca", level)
    families = np.zeros((groups, k * k))
    np.add.at(families, codes, tables.reshape(n, k * k))
    drawn = (resample_counts(groups, n_boot, seed) @ families).reshape(n_boot, k, k)
    left_out = (total.reshape(-1) - families).reshape(groups, k, k)
    # Kappa is undefined for a resample with a single category; use the point estimate.
    replicates, jackknife = (np.nan_to_num(statistic(t), nan=value) for t in (drawn, left_out))
    return from_replicates(value, replicates, jackknife, n, level, (-1.0, 1.0))


def cohen_kappa(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    clusters: Labels = None,
    weights: Weights = "none",
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Return Cohen's kappa of two raters' labels, shape (n,), with a BCa interval over prompt families.

    Cohen 1960; weighted 1968 (labels in sorted order). 1 is perfect agreement, 0 is chance. NaN if both
    raters use a single common label, where kappa is undefined. For perfect agreement the interval allows for
    unseen prompts (see `intervals.mean_t`). ValueError for different lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} labels and b {len(b)}; pair them by prompt first")
    if len(a) == 0:
        return empty("bca", level)
    names, code = _categories([*a, *b])
    tables = np.zeros((len(a), len(names), len(names)))
    tables[np.arange(len(a)), [code[x] for x in a], [code[x] for x in b]] = 1
    penalty = _penalty(len(names), weights)
    codes, groups = cluster_codes(clusters, len(a))
    return _bootstrap(tables, codes, groups, lambda t: _kappa(t, penalty), n_boot, seed, level)


def _penalty(k: int, weights: Weights) -> FloatArray:
    gap = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    return {"none": (gap > 0).astype(np.float64), "linear": gap, "quadratic": gap**2}[weights]


def _kappa(tables: FloatArray, penalty: FloatArray) -> FloatArray:
    """Return 1 - observed/expected disagreement of tables (B, K, K)."""
    n = tables.sum(axis=(1, 2))
    expected = np.einsum("bi,bj,ij->b", tables.sum(axis=2), tables.sum(axis=1), penalty)
    observed = (tables * penalty).sum(axis=(1, 2)) * n
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, math.nan))


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable | None]],
    clusters: Labels = None,
    scale: Scale = "nominal",
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Return Krippendorff's alpha with a BCa interval over families of units.

    `ratings[r][u]` is rater r's value for unit u, None or NaN if missing. `clusters` label the units.
    `scale`: nominal, ordinal (values ranked by their order) or interval (numbers). Units with fewer than two
    ratings are omitted; n counts the others. Krippendorff 2011, "Computing Krippendorff's
    alpha-reliability". NaN if all ratings are equal.
    """
    columns = [[v for v in column if v is not None and v == v] for column in zip(*ratings, strict=True)]
    codes, _ = cluster_codes(clusters, len(columns))
    pairable = [u for u, column in enumerate(columns) if len(column) > 1]
    if not pairable:
        return empty("bca", level)
    names, code = _categories([v for u in pairable for v in columns[u]])
    tables = np.array([_coincidences([code[v] for v in columns[u]], len(names)) for u in pairable])
    kept, groups = cluster_codes(codes[pairable], len(pairable))
    return _bootstrap(tables, kept, groups, lambda t: _alpha(t, names, scale), n_boot, seed, level)


def _coincidences(values: list[int], k: int) -> FloatArray:
    """Return the pairs of values within one unit, weighted by its number of ratings, shape (K, K)."""
    count = np.bincount(values, minlength=k).astype(np.float64)
    return np.asarray((np.outer(count, count) - np.diag(count)) / (len(values) - 1))


def _alpha(tables: FloatArray, names: list[Hashable], scale: Scale) -> FloatArray:
    """Return 1 - observed/expected disagreement of coincidence tables (B, K, K)."""
    margin = tables.sum(axis=2)
    n = margin.sum(axis=1)
    distance = _distance(margin, names, scale)
    observed = (tables * distance).sum(axis=(1, 2)) * (n - 1)
    expected = np.einsum("bi,bj,bij->b", margin, margin, distance)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, math.nan))


def _distance(margin: FloatArray, names: list[Hashable], scale: Scale) -> FloatArray:
    """Return squared distances of values, (B, K, K); the ordinal distance depends on the frequency of each
    value.
    """
    k = len(names)
    if scale == "interval":
        values = np.array(names, dtype=np.float64)
        return np.broadcast_to(np.subtract.outer(values, values) ** 2, (margin.shape[0], k, k))
    if scale == "nominal":
        return np.broadcast_to(1 - np.eye(k), (margin.shape[0], k, k))
    middle = np.cumsum(margin, axis=1) - margin / 2
    return np.asarray((middle[:, :, None] - middle[:, None, :]) ** 2)


def corrected_rate(
    observed: tuple[int, int], sensitivity: tuple[int, int], specificity: tuple[int, int], level: float = 0.95
) -> Estimate:
    """Return the true rate estimated from an imperfect judge, with sampling and calibration uncertainty.

    Each argument is (successes, trials): prompts the judge called wins among all; true wins it called wins;
    true non-wins it did not call wins. Value: (rate + sp - 1)/(se + sp - 1), clipped to [0, 1] (Rogan and
    Gladen 1978, Am. J. Epidemiol. 107:71). Interval: Lang and Reiczigel 2014 (Prev. Vet. Med. 113:13), which
    adds pseudo-counts so that a calibration without errors still has uncertainty.

    For a judge no better than chance (se + sp <= 1) the value is NaN and the interval the whole range. n is
    the number of judged prompts.
    """
    n = observed[1]
    if n == 0 or sensitivity[1] == 0 or specificity[1] == 0:
        return empty("rogan-gladen", level)
    rate, se, sp = (k / m for k, m in (observed, sensitivity, specificity))
    z = float(stats.norm.ppf((1 + level) / 2))
    soft_rate, soft_se, soft_sp = _soften(observed, z * z), _soften(sensitivity, 2), _soften(specificity, 2)
    if se + sp <= 1 or soft_se + soft_sp <= 1:
        return Estimate(math.nan, 0.0, 1.0, n, "rogan-gladen", level)
    value = min(max((rate + sp - 1) / (se + sp - 1), 0.0), 1.0)
    centre = (soft_rate + soft_sp - 1) / (soft_se + soft_sp - 1)
    noise_se = soft_se * (1 - soft_se) / (sensitivity[1] + 2)
    noise_sp = soft_sp * (1 - soft_sp) / (specificity[1] + 2)
    noise = soft_rate * (1 - soft_rate) / (n + z * z)
    spread = math.sqrt(noise + centre**2 * noise_se + (1 - centre) ** 2 * noise_sp) / (soft_se + soft_sp - 1)
    middle = centre + 2 * z * z * (centre * noise_se - (1 - centre) * noise_sp)
    lower, upper = (min(max(end, 0.0), 1.0) for end in (middle - z * spread, middle + z * spread))
    return Estimate(value, min(lower, value), max(upper, value), n, "rogan-gladen", level)


def _soften(share: tuple[int, int], extra: float) -> float:
    return (share[0] + extra / 2) / (share[1] + extra)
