"""Candidates: score intervals for means of bounded values and of differences.

Wilson's interval collects every mean mu that the score test does not reject, with the variance that a share
has under mu, mu (1 - mu). Bounded values have a part of that variance: with values in [0, 1] and mean m it is
rho m (1 - m), 0 <= rho <= 1, and rho changes much less with the mean than the variance does. The statistic is

    T(mu) = (m - mu) / sqrt(rho mu (1 - mu) / n),

compared with Student's t on G - 1 degrees of freedom, where rho is estimated from the values, by families.
One pseudo-observation at each end of the range enters rho only: it stands for values that n prompts have not
shown. For families of one and values 0 and 1 it is Wilson's interval (1927, JASA 22:209) with t in the place
of z; for wins, ties and losses the parts are joined by MOVER, as Newcombe does (1998, Stat. Med. 17:2635).
``coverage_graded.py`` holds both against the intervals of the product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from aligner_bench.stats.clusters import FloatArray, Labels, Values, as_floats, cluster_codes, cluster_sums
from aligner_bench.stats.estimate import Estimate, empty

PSEUDO = 1.0
"""Weight of the pseudo-observation at each end of the range, in the estimate of rho."""


@dataclass(frozen=True, slots=True)
class _Score:
    """The statistic of values in [0, 1]: mean m, rho / n, and degrees of freedom (0: one family only)."""

    mean: float
    spread: float
    df: int

    def ends(self, level: float) -> tuple[float, float]:
        """Ends of the interval at a two-sided level."""
        return self.within(float(stats.t.ppf((1 + level) / 2, self.df)))

    def within(self, t: float) -> tuple[float, float]:
        """Every mu with abs(T(mu)) <= t: the roots of a quadratic."""
        k = t * t * self.spread
        centre, half = self.mean + k / 2, math.sqrt(k * self.mean * (1 - self.mean) + k * k / 4)
        low, high = (centre - half) / (1 + k), (centre + half) / (1 + k)
        return (max(low, 0.0) if self.mean > 0 else 0.0), (min(high, 1.0) if self.mean < 1 else 1.0)


def score_mean(
    x: Values, clusters: Labels = None, level: float = 0.95, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """Mean of x, shape (n,), with the score interval of this module.

    `bounds` is the range that each x can take. No observations: NaN. One family only: the whole range, since
    nothing is known about the spread between families. ValueError for values outside the bounds.
    """
    method = "score" if clusters is None else "cluster score"
    values = as_floats(x)
    if values.size == 0:
        return empty(method, level)
    low, width = bounds[0], bounds[1] - bounds[0]
    found = _score(_scaled(values, bounds), clusters)
    lower, upper = found.ends(level) if found.df else (0.0, 1.0)
    mean = float(values.mean())
    return Estimate(
        mean, min(low + width * lower, mean), max(low + width * upper, mean), values.size, method, level
    )


@dataclass(frozen=True, slots=True)
class _Difference:
    """Mean gain minus mean loss, each with its own score interval, combined by MOVER.

    Gains and losses may both be rare, and only one of them rare: the interval of a mean in the middle of its
    range cannot be lopsided, those of the two parts are (Zou and Donner 2008, Stat. Med. 27:1693, for the
    combination; Newcombe 1998, Stat. Med. 17:2635, for paired proportions). ``likeness`` is the correlation
    of gain and loss, at most 0.
    """

    gain: _Score
    loss: _Score
    likeness: float

    @property
    def value(self) -> float:
        return self.gain.mean - self.loss.mean

    def within(self, t: float) -> tuple[float, float]:
        """Ends for a quantile t of Student's distribution."""
        (gain_low, gain_high), (loss_low, loss_high) = self.gain.within(t), self.loss.within(t)
        below = self._combined(self.gain.mean - gain_low, loss_high - self.loss.mean)
        above = self._combined(gain_high - self.gain.mean, self.loss.mean - loss_low)
        return max(self.value - below, -1.0), min(self.value + above, 1.0)

    def _combined(self, a: float, b: float) -> float:
        return math.sqrt(max(a * a + b * b - 2 * self.likeness * a * b, 0.0))


def score_difference(d: Values, clusters: Labels = None, level: float = 0.95) -> Estimate:
    """Mean of d, shape (n,), differences in [-1, 1]: mean gain minus mean loss, by MOVER of score intervals.

    For wins and losses (omega) and for paired differences. No observations: NaN. One family only: -1 to 1.
    ValueError for values outside [-1, 1].
    """
    method = "score difference" if clusters is None else "cluster score difference"
    values = as_floats(d, "d")
    if values.size == 0:
        return empty(method, level)
    found = _difference(values, clusters)
    t = float(stats.t.ppf((1 + level) / 2, found.gain.df)) if found.gain.df else math.inf
    lower, upper = found.within(t) if found.gain.df else (-1.0, 1.0)
    mean = float(values.mean())
    return Estimate(mean, min(lower, mean), max(upper, mean), values.size, method, level)


def _difference(d: FloatArray, clusters: Labels) -> _Difference:
    _scaled(d, (-1.0, 1.0))
    gain, loss = np.maximum(d, 0.0), np.maximum(-d, 0.0)
    codes, groups = cluster_codes(clusters, d.size)
    parts = [cluster_sums(part - part.mean(), codes, groups) for part in (gain, loss)]
    spread = math.sqrt(float(parts[0] @ parts[0]) * float(parts[1] @ parts[1]))
    likeness = float(parts[0] @ parts[1]) / spread if spread > 0 else 0.0
    return _Difference(_score(gain, clusters), _score(loss, clusters), min(max(likeness, -1.0), 0.0))


def _scaled(values: FloatArray, bounds: tuple[float, float]) -> FloatArray:
    scaled = (values - bounds[0]) / (bounds[1] - bounds[0])
    if scaled.size and (scaled.min() < -1e-9 or scaled.max() > 1 + 1e-9):
        raise ValueError(
            f"x must lie in [{bounds[0]:g}, {bounds[1]:g}], got {values.min():g} to {values.max():g}"
        )
    clipped: FloatArray = np.clip(scaled, 0.0, 1.0)
    return clipped


def _score(u: FloatArray, clusters: Labels) -> _Score:
    """rho / n by the cluster-robust variance (Miller 2024, arXiv 2411.00640, 2.2) with pseudo-families.

    A pseudo-observation is a family of mean size at one end of the range. Its members agree half-way between
    the design effect of the values and complete agreement: few families show their agreement badly.
    """
    codes, groups = cluster_codes(clusters, u.size)
    size = u.size / groups
    weight, families = u.size + 2 * PSEUDO * size, groups + 2 * PSEUDO
    centre = (float(u.sum()) + PSEUDO * size) / weight
    sums = cluster_sums(u - centre, codes, groups)
    squares, alone = float(sums @ sums), float(((u - centre) ** 2).sum())
    effect = min(max(squares / alone, 1.0), size) if alone > 0 else size
    squares += PSEUDO * size * (effect + size) / 2 * (centre**2 + (1 - centre) ** 2)
    variance = families / (families - 1) * squares / weight  # of one observation, times the design effect
    spread = variance / (centre * (1 - centre)) / u.size
    return _Score(float(u.mean()), spread, groups - 1)
