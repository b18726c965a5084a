"""Make measures of the sorts that occur in every table: counts and shares."""

from __future__ import annotations

from aligner_bench.results import estimators as by
from aligner_bench.results.measure import Estimator, Measure, PerPrompt, Sign


def count(
    name: str, definition: str, heading: str, better: Sign = 0, values: PerPrompt | None = None
) -> Measure:
    """Make the measure of a count, a sum of values that are 0 or 1."""
    return Measure(
        name=name,
        definition=definition,
        unit="count",
        better=better,
        estimator=by.COUNT,
        of=definition,
        heading=heading,
        format="count",
        values=values,
    )


def share(
    name: str,
    definition: str,
    of: str,
    better: Sign = 0,
    heading: str = "",
    values: PerPrompt | None = None,
    source: str = "",
    estimator: Estimator = by.SHARE,
) -> Measure:
    """Make the measure of a share of rows; the heading is the name where none is given."""
    return Measure(
        name=name,
        definition=definition,
        unit="share",
        better=better,
        estimator=estimator,
        of=of,
        heading=heading or name.replace("_", " "),
        format="percent",
        source=source,
        values=values,
    )
