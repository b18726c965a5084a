"""Bootstrap: resampling of whole families and BCa limits from replicates."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import special, stats

from aligner_bench.stats.clusters import FloatArray


def resample_counts(groups: int, n_boot: int, seed: int = 0) -> FloatArray:
    """Return how often each of G families is drawn in each bootstrap sample, shape (n_boot, G)."""
    return next(resample_blocks(groups, n_boot, n_boot, seed))


def resample_blocks(groups: int, n_boot: int, size: int, seed: int = 0) -> Iterator[FloatArray]:
    """Yield the rows of ``resample_counts``, at most ``size`` at a time, to bound memory."""
    rng = np.random.default_rng(seed)
    for begin in range(0, n_boot, size):
        rows = min(size, n_boot - begin)
        draws = rng.integers(0, groups, size=(rows, groups))
        draws += np.arange(rows)[:, None] * groups
        counts = np.bincount(draws.ravel(), minlength=rows * groups)
        yield counts.reshape(rows, groups).astype(np.float64)


def bca_ends(
    value: float, replicates: FloatArray, jackknife: FloatArray, level: float = 0.95
) -> tuple[float, float]:
    """Return the ends of the BCa interval from bootstrap replicates and leave-one-family-out values.

    Efron 1987 (JASA 82:171, eq. 2.3 and 6.6): z0 from the share of replicates below the value (ties count
    half), acceleration a from the skewness of the jackknife. The nominal quantile is the t quantile on G - 1
    degrees of freedom times sqrt(G/(G-1)) instead of the normal one (Hesterberg 2015, Am. Stat. 69:371, the
    "expanded" percentile), because plain percentile intervals are too narrow for few families.
    """
    groups = jackknife.size
    below = ((replicates < value).sum() + 0.5 * (replicates == value).sum()) / replicates.size
    z0 = float(
        special.ndtri(np.clip(below, 1 / (replicates.size + 1), replicates.size / (replicates.size + 1)))
    )
    gap = jackknife.mean() - jackknife
    spread = float((gap**2).sum()) ** 1.5
    accel = float((gap**3).sum()) / (6 * spread) if spread > 0 else 0.0
    z = float(stats.t.ppf((1 + level) / 2, groups - 1)) * math.sqrt(groups / (groups - 1))
    shifted = z0 + np.array([-z, z])
    quantiles = special.ndtr(z0 + shifted / np.maximum(1 - accel * shifted, 1e-6))
    lower, upper = np.quantile(replicates, quantiles)
    return min(float(lower), value), max(float(upper), value)
