"""The return type of all estimators: a value with its interval and sample size."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its two-sided interval, sample size and method.

    Attributes:
        value: the point estimate (a fraction unless documented otherwise).
        lower: lower end of the interval; -inf or the lower bound of the range if not estimable.
        upper: upper end, likewise.
        n: number of observations (for `strict` only the decided ones).
        method: name of the interval's method ("wilson", "cluster t", ...).
        level: two-sided confidence level of the interval.
    """

    value: float
    lower: float
    upper: float
    n: int
    method: str
    level: float = 0.95

    @property
    def half_width(self) -> float:
        """Half of upper - lower, in the units of the value."""
        return (self.upper - self.lower) / 2

    def shifted(self, scale: float, offset: float) -> Estimate:
        """Return the estimate of scale * x + offset (interval ends swap where scale is negative)."""
        ends = sorted((scale * self.lower + offset, scale * self.upper + offset))
        return Estimate(scale * self.value + offset, ends[0], ends[1], self.n, self.method, self.level)


def empty(method: str, level: float = 0.95) -> Estimate:
    """Return the estimate of a quantity without observations: value and both ends are NaN, n is 0."""
    return Estimate(math.nan, math.nan, math.nan, 0, method, level)
