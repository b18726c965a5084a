"""A published number as one object: what it is, how it is made, and how it is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from aligner_bench.results.number import Number

Unit = Literal[
    "share",
    "percent",
    "difference of shares",
    "difference of scores",
    "score",
    "preference",
    "ratio",
    "coefficient",
    "probability",
    "p value",
    "count",
    "tokens",
    "characters",
    "US dollars",
    "parameters",
]
Format = Literal["percent", "signed percent", "decimal", "count", "p_value", "dollars"]
Sign = Literal[1, 0, -1]
PerPrompt = Callable[[Sequence[Any]], list[float | None]]


@dataclass(frozen=True, slots=True)
class Estimator:
    """How a number is made. ``name`` is what queries print; ``make`` is the function of the values.

    Estimators of a mean or a share take (values, clusters) and give a ``Number`` with its interval.
    """

    name: str
    make: Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One published number.

    Attributes:
        name: unique among all measures; the metric's name in ``compare`` and in gate policies.
        definition: one sentence.
        unit: what a value of 1 is; shares and preferences are fractions.
        better: 1 where more is better, -1 where less is, 0 where the number only describes.
        estimator: the function that makes the number from values and clusters.
        of: what the estimator takes, in words, for the queries of the claim ledger.
        heading: the column's heading.
        format: how a value is printed.
        source: paper and equation, where there is one.
        values: rows of one sample -> one value per row, None where the row does not count. The rows are
            preferences (comparisons), response rows (systems), or rating rows (harm).
        graded: values between 0 and 1 occur, so that a paired test permutes instead of counting.
    """

    name: str
    definition: str
    unit: Unit
    estimator: Estimator
    of: str
    heading: str
    format: Format
    better: Sign = 0
    source: str = ""
    values: PerPrompt | None = None
    graded: bool = False

    @property
    def query(self) -> str:
        """The call that makes the number, as the claim ledger prints it."""
        return f"{self.estimator.name}({self.of})"

    def __call__(self, *args: Any) -> Any:
        """Make a number from the estimator's own arguments: counts, p values and fitted numbers."""
        return self.estimator.make(*args)

    def number(self, values: Sequence[float], clusters: Sequence[str] | None = None) -> Number:
        """Make the number with its interval; its value is None where there are no values.

        ``clusters`` are the prompts' families, one per value.
        """
        made: Number = self.estimator.make(values, clusters)
        return made

    def optional(self, values: Sequence[float]) -> Number | None:
        """Make the number; None where there are no values."""
        return self.number(values) if values else None

    def of_rows(self, rows: Sequence[Any]) -> list[float]:
        """List the values of the rows that count, in order. ValueError for a measure without such values."""
        if self.values is None:
            raise ValueError(f"measure {self.name!r} has no value per prompt")
        return [value for value in self.values(rows) if value is not None]

    def total(self, rows: Sequence[Any]) -> int:
        """Sum the values of the rows: for counts."""
        return int(sum(self.of_rows(rows)))

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Mapping[str, Any]:
        """Describe a field annotated with a measure by its definition."""
        schema = handler(core_schema)
        return {**schema, "description": self.definition} if "$ref" not in schema else schema


@dataclass(frozen=True, slots=True)
class Keyed:
    """The measures of a mapping field: key -> measure."""

    measures: Mapping[str, Measure]

    def __hash__(self) -> int:
        return hash(tuple(self.measures))


@dataclass(frozen=True, slots=True)
class Setting:
    """Marks a numeric field that is a setting of the file, not a measured number."""

    description: str


def per_row(value: Callable[[Any], float | None]) -> PerPrompt:
    """Make values of rows from a function of one row."""
    return lambda rows: [value(row) for row in rows]
