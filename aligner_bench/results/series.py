"""Read a run's numbers prompt by prompt, so that they can be paired with those of another run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aligner_bench.core.preferences import combine
from aligner_bench.results.measure import Measure
from aligner_bench.results.measures.comparisons import CONSISTENCY, DISCRETE, VERDICT_FAILURES, WIN_RATE
from aligner_bench.results.measures.systems import (
    ACCURACY,
    ANSWER_FAILURES,
    DAMAGE,
    HARM_RATE,
    REFUSALS,
    REPAIR,
)
from aligner_bench.store.tables import Row, group

Tables = Mapping[str, Sequence[Row]]
Values = dict[str, float]
_OF_COMPARISONS = (WIN_RATE, DISCRETE, CONSISTENCY, VERDICT_FAILURES)
_OF_SYSTEMS = (ACCURACY, REPAIR, DAMAGE, ANSWER_FAILURES, REFUSALS)


class Key(NamedTuple):
    """The subject of a series; judge and baseline are empty for a number about one system alone."""

    metric: str
    suite: str
    judge: str
    system: str
    baseline: str

    @classmethod
    def of(cls, row: Any) -> Key:
        """Read the key of a row with fields of these names."""
        return cls(row.metric, row.suite, row.judge, row.system, row.baseline)

    def __str__(self) -> str:
        who = f"{self.system} against {self.baseline}" if self.baseline else self.system
        place = f"{self.suite}, {self.judge}" if self.judge else self.suite
        about = f"{who} ({place})"
        return f"{self.metric.replace('_', ' ')} of {about}" if self.metric else about


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one system or comparison: prompt_id -> value, for the prompts that have one."""

    key: Key
    values: Values


class Question(NamedTuple):
    """The family and category of a prompt."""

    family: str
    category: str


def questions(tables: Tables) -> dict[str, dict[str, Question]]:
    """Read suite -> prompt_id -> family and category; a prompt without a family is its own."""
    found: dict[str, dict[str, Question]] = {}
    for row in tables["prompts"]:
        family = row["family"] or row["prompt_id"]
        found.setdefault(row["suite"], {})[row["prompt_id"]] = Question(family, row["category"])
    return found


def observations(tables: Tables) -> list[Series]:
    """Collect every series of a run that has a value, comparisons first."""
    found = (*_of_comparisons(tables), *_of_systems(tables), *_of_ratings(tables))
    return [series for series in found if series.values]


def _of_ratings(tables: Tables) -> Iterator[Series]:
    """Harm after correction. In keys a rater takes the place of a judge: it can lack power too."""
    after = (row for row in tables.get("ratings", ()) if row["side"] == "after")
    for (suite, rater, system), rows in group(after, "suite", "rater", "system").items():
        yield _series(HARM_RATE, (suite, rater, system, ""), [row["prompt_id"] for row in rows], rows)


def _of_comparisons(tables: Tables) -> Iterator[Series]:
    for key, rows in group(tables["verdicts"], "suite", "judge", "candidate", "baseline").items():
        found = {p: combine(pair) for (p,), pair in group(rows, "prompt_id").items()}
        single = len({row["order"] for row in rows} - {"none"}) < 2
        for measure in _OF_COMPARISONS:
            if not (single and measure is CONSISTENCY):  # one order always agrees with itself
                yield _series(measure, key, list(found), list(found.values()))


def _of_systems(tables: Tables) -> Iterator[Series]:
    for (suite, system), rows in group(tables["responses"], "suite", "system").items():
        rated = any(row["correct"] is not None for row in rows)
        ids = [row["prompt_id"] for row in rows]
        for measure in _OF_SYSTEMS:
            if rated or measure is not ACCURACY:
                yield _series(measure, (suite, "", system, ""), ids, rows)


def _series(measure: Measure, place: tuple[Any, ...], ids: Sequence[str], rows: Sequence[Any]) -> Series:
    """The values of the rows that count; ``place`` is suite, judge, system and baseline."""
    found = measure.values(rows) if measure.values else []
    values = {p: value for p, value in zip(ids, found, strict=True) if value is not None}
    return Series(Key(measure.name, *place), values)
