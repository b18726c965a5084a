"""Read the traces of corrected answers, with the prompt of each, for the numbers about steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aligner_bench.results.measure import Measure
from aligner_bench.results.number import Number
from aligner_bench.store.tables import Row, group
from aligner_bench.store.traces import Scores, Trace, read_trace

Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class TracedAnswer:
    """One answer's trace with its prompt's family and references."""

    prompt_id: str
    family: str
    references: Sequence[str]
    text: str
    failed: bool
    trace: Trace


@dataclass(frozen=True, slots=True)
class TracedSystem:
    """The traced answers of one system on one suite."""

    suite: str
    system: str
    answers: Sequence[TracedAnswer]

    @property
    def keys(self) -> dict[str, str]:
        """The fields that every row about this system has."""
        return {"suite": self.suite, "system": self.system}


@dataclass(slots=True)
class Sample:
    """Values with the prompt families that they come from."""

    values: list[float] = field(default_factory=list)
    families: list[str] = field(default_factory=list)

    def add(self, value: float, family: str) -> None:
        """Add one value."""
        self.values.append(value)
        self.families.append(family)

    def number(self, measure: Measure) -> Number:
        """Make the number of a measure from these values."""
        return measure.number(self.values, self.families)


def traced_systems(tables: Tables) -> Iterator[TracedSystem]:
    """Yield every system on every suite whose traces begin with an upstream answer and have further steps."""
    prompts = {(row["suite"], row["prompt_id"]): row for row in tables["prompts"]}
    for (suite, system), rows in group(tables["responses"], "suite", "system").items():
        found = [_answer(row, prompts[suite, row["prompt_id"]]) for row in rows if len(row["trace"]) > 2]
        found = [answer for answer in found if answer.trace.start is not None and answer.trace.moves]
        if found and any(move.action != "copy" for answer in found for move in answer.trace.moves):
            yield TracedSystem(suite, system, sorted(found, key=lambda answer: answer.prompt_id))


def _answer(row: Row, prompt: Row) -> TracedAnswer:
    return TracedAnswer(
        row["prompt_id"],
        prompt["family"] or row["prompt_id"],
        prompt["references"] or (),
        row["text"],
        row["status"] == "error",
        read_trace(row["trace"]),
    )


def shared(before: Scores, after: Scores) -> list[str]:
    """List the inspectors that scored both texts."""
    return [name for name in before if name in after]
