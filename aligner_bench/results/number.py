"""A published number with its interval, and the base of all published rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Origin(NamedTuple):
    """The table that rows of results are made from, and its columns that have another name there."""

    table: str
    columns: Mapping[str, str] = {}


class Published(BaseModel):
    """The base of everything published: a field that is not in the schema is an error."""

    model_config = ConfigDict(extra="forbid")
    origin: ClassVar[Origin | None] = None


class Number(Published):
    """A number with its interval and n. None: it cannot be computed from these rows."""

    value: float | None
    lower: float | None
    upper: float | None
    n: int = Field(description="observations behind the number")
    method: str = Field(description="how the interval was made")

    def floored(self) -> Number:
        """Raise the lower end to 0, for numbers that cannot be negative."""
        return self if self.lower is None else self.model_copy(update={"lower": max(self.lower, 0.0)})

    @classmethod
    def of(cls, estimate: Any) -> Number:
        """Make a number from a ``stats.Estimate``; NaN and infinities become None, which JSON can hold."""

        def finite(x: float) -> float | None:
            return float(x) if math.isfinite(x) else None

        return cls(
            value=finite(estimate.value),
            lower=finite(estimate.lower),
            upper=finite(estimate.upper),
            n=int(estimate.n),
            method=estimate.method,
        )


def points(number: Number) -> str:
    """Format a difference in points with its interval, as in "+12.3 points (95 % 8.9 to 15.6)"."""
    if number.value is None or number.lower is None or number.upper is None:
        return "not computable"
    low, high = (f"{100 * end:+.1f}" for end in (number.lower, number.upper))
    return f"{100 * number.value:+.1f} points (95 % {low} to {high})".replace("-", "\N{MINUS SIGN}")


def percent(number: Number) -> str:
    """Format a share with its interval, as in "36 % (95 % 22 to 52, n = 48)"."""
    if number.value is None or number.lower is None or number.upper is None:
        return "not computable"
    ends = f"{100 * number.lower:.0f} to {100 * number.upper:.0f}"
    return f"{100 * number.value:.0f} % (95 % {ends}, n = {number.n})"
