"""Parallel correctors: several rewrite one answer, and inspectors or a judge pick one result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aligner_bench.core.preferences import combine
from aligner_bench.core.spec import InspectorName, Spec
from aligner_bench.core.types import Answer, Pair, Services, Step, Verdict
from aligner_bench.correctors.answers import Item, noted
from aligner_bench.correctors.base import CorrectorSpec, Work
from aligner_bench.correctors.scoring import current, scored
from aligner_bench.judges.base import JudgeContext, JudgeSpec

UNCHANGED = "unchanged"
"""The actor of a pick that keeps the input answer."""

Columns = Mapping[str, list[Answer]]


class ScorePick(Spec):
    """Pick the candidate with the highest mean, or the highest minimum, inspector score."""

    by: Literal["mean", "min"] = Field(description="highest mean score, or highest lowest score")
    inspectors: tuple[InspectorName, ...] = Field(min_length=1, description="inspectors that score")


class JudgePick(Spec):
    """Pick the candidate that a judge prefers in both orders, each compared with the best so far."""

    by: Literal["judge"] = Field(description="a judge compares the candidates")
    judge: JudgeSpec = Field(description="the judge, written out")

    @model_validator(mode="after")
    def _knows_no_answers(self) -> Self:
        if self.judge.no_pick:
            raise ValueError(f"a corrector may not ask the judge {self.judge.kind}: {self.judge.no_pick}")
        return self


class ParallelSpec(CorrectorSpec):
    """Apply several correctors to the same answer and pick one result; ties keep the first.

    The input answer is the first candidate, unless ``keep: false``.
    """

    correctors: dict[str, CorrectorSpec] = Field(min_length=1, description="correctors by name")
    pick: Annotated[
        ScorePick | JudgePick, Field(discriminator="by", description="how one of the results is picked")
    ]
    keep: bool = Field(True, description="may the answer stay as it came in?")

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return the picked candidate of each item.

        A failed candidate cannot win; where all failed, the answer is an error. The trace gets a step for
        each candidate, with its final text, and one for the pick; the steps of a candidate's own corrector
        are left out.
        """
        columns = {name: corrector.apply(items, services) for name, corrector in self.correctors.items()}
        base = [item.answer for item in items]
        live = [i for i, answer in enumerate(base) if answer.status != "error"]
        if isinstance(self.pick, ScorePick):
            for column in (base, *columns.values()):
                scored(items, column, live, self.pick.inspectors, services)
        racing = _candidates_of_rows(self, columns, base, live)
        spent: dict[int, list[Verdict]] = {}
        if isinstance(self.pick, JudgePick):
            picked = _judged(self.pick, racing, columns, items, base, services, spent)
        else:
            picked = {i: _best(self.pick, names, columns, base, i) for i, names in racing.items()}
        return [
            _settled(
                answer, {name: column[i] for name, column in columns.items()}, picked[i], spent.get(i, ())
            )
            if i in picked
            else _failed(answer, [column[i] for column in columns.values()])
            for i, answer in enumerate(base)
        ]

    def work(self) -> Iterator[Work]:
        """Yield the work of all candidates and of the pick."""
        yield from super().work()
        candidates = len(self.correctors) + self.keep
        if isinstance(self.pick, ScorePick):
            for inspector in self.pick.inspectors:
                yield Work("score", inspector, candidates, True)
        else:
            yield Work("judge", f"pick by {self.pick.judge.kind}", candidates - 1, True)


def _candidates_of_rows(
    spec: ParallelSpec, columns: Columns, base: Sequence[Answer], live: Sequence[int]
) -> dict[int, list[str]]:
    """Return the candidates of each row, in declared order; rows whose correctors all failed are left out."""
    found = {}
    for i in live:
        sound = [name for name, column in columns.items() if column[i].status != "error"]
        if sound:
            found[i] = [UNCHANGED, *sound] if spec.keep else sound
    return found


def _candidate(name: str, columns: Columns, base: Sequence[Answer], row: int) -> Answer:
    return base[row] if name == UNCHANGED else columns[name][row]


def _best(pick: ScorePick, names: Sequence[str], columns: Columns, base: Sequence[Answer], row: int) -> str:
    def value(name: str) -> float:
        known = current(_candidate(name, columns, base, row))
        scores = [known[inspector] for inspector in pick.inspectors]
        return min(scores) if pick.by == "min" else sum(scores) / len(scores)

    return max(names, key=value)


def _judged(
    pick: JudgePick,
    racing: Mapping[int, Sequence[str]],
    columns: Columns,
    items: Sequence[Item],
    base: Sequence[Answer],
    services: Services,
    spent: dict[int, list[Verdict]],
) -> dict[int, str]:
    """Return each row's winner: every candidate meets the best one before it, which wins ties.

    Appends all verdicts to ``spent``, by row: their cost is part of the answer's cost.
    """
    judge = pick.judge.make(JudgeContext())
    best = {i: names[0] for i, names in racing.items()}
    for name in columns:
        rows = [i for i, names in racing.items() if name in names and best[i] != name]
        pairs = [
            Pair(
                items[i].prompt_id,
                items[i].prompt,
                columns[name][i].text,
                _candidate(best[i], columns, base, i).text,
            )
            for i in rows
        ]
        for i, verdicts in zip(rows, judge.compare(pairs, services), strict=True):
            spent.setdefault(i, []).extend(verdicts)
            preference = combine([asdict(verdict) for verdict in verdicts]).value
            if preference is not None and preference > 0.5:
                best[i] = name
    return best


def _settled(
    base: Answer, candidates: Mapping[str, Answer], winner: str, verdicts: Sequence[Verdict]
) -> Answer:
    chosen = base if winner == UNCHANGED else candidates[winner]
    answer = _with_cost(base, list(candidates.values()))
    for name, candidate in candidates.items():
        answer = noted(answer, Step(0, name, "candidate", candidate.text, current(candidate)))
    pick = Step(0, winner, "pick", chosen.text, current(chosen))
    for name in ("calls", "prompt_tokens", "completion_tokens", "cost"):
        took = sum(getattr(verdict, name) for verdict in verdicts)
        answer = replace(answer, **{name: getattr(answer, name) + took})
    told = ("text", "status", "finish_reason", "cut_tokens", "error")
    return noted(replace(answer, **{name: getattr(chosen, name) for name in told}), pick)


def _failed(base: Answer, candidates: Sequence[Answer]) -> Answer:
    """Return an answer that had failed before, or the first error of its failed correctors."""
    if base.status == "error":
        return base
    return _with_cost(replace(candidates[0], trace=base.trace), candidates, base)


def _with_cost(answer: Answer, candidates: Sequence[Answer], base: Answer | None = None) -> Answer:
    """Return ``answer`` with the cost of the base and of all candidates."""
    start = base or answer

    def total(name: str) -> float:
        spent: float = getattr(start, name)
        for candidate in candidates:
            spent += getattr(candidate, name) - getattr(start, name)
        return spent

    return replace(
        answer,
        calls=int(total("calls")),
        prompt_tokens=int(total("prompt_tokens")),
        completion_tokens=int(total("completion_tokens")),
        seconds=total("seconds"),
        cost=total("cost"),
    )
