"""Several correctors on one answer, of whose results inspectors or a judge pick one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from aligner_bench.correctors.correct import apply
from aligner_bench.correctors.item import Item, noted
from aligner_bench.correctors.scoring import current, scored
from aligner_bench.correctors.specs import JudgePick, ParallelSpec, ScorePick
from aligner_bench.preferences import combine
from aligner_bench.types import Answer, Pair, Services, Step, Verdict

UNCHANGED = "unchanged"
"""The actor of a pick that leaves the answer as it came in."""

Columns = Mapping[str, list[Answer]]


def parallel(spec: ParallelSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    """For each item the picked candidate. Failed candidates cannot win; where all fail, so does the answer.

    The trace gets a step for each candidate, with its final text, and one for the pick; what a candidate's
    own corrector did on the way is not in it.
    """
    columns = {name: apply(corrector, items, services) for name, corrector in spec.correctors.items()}
    base = [item.answer for item in items]
    live = [i for i, answer in enumerate(base) if answer.status != "error"]
    if isinstance(spec.pick, ScorePick):
        for column in (base, *columns.values()):
            scored(items, column, live, spec.pick.inspectors, services)
    racing = _racing(spec, columns, base, live)
    spent: dict[int, list[Verdict]] = {}
    if isinstance(spec.pick, JudgePick):
        picked = _judged(spec.pick, racing, columns, items, base, services, spent)
    else:
        picked = {i: _best(spec.pick, names, columns, base, i) for i, names in racing.items()}
    return [
        _settled(answer, {name: column[i] for name, column in columns.items()}, picked[i], spent.get(i, ()))
        if i in picked
        else _failed(answer, [column[i] for column in columns.values()])
        for i, answer in enumerate(base)
    ]


def _racing(
    spec: ParallelSpec, columns: Columns, base: Sequence[Answer], live: Sequence[int]
) -> dict[int, list[str]]:
    """Row -> the names that may win, first ones first; rows on which every corrector failed are left out."""
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
    """Row -> winner: each candidate meets the best one before it, which stays unless it loses outright.

    All verdicts go into ``spent``, by row: what the judge took is part of the answer's price.
    """
    from aligner_bench.judges.base import make_judge

    judge = make_judge(pick.judge)
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
    answer = _charged(base, list(candidates.values()))
    for name, candidate in candidates.items():
        answer = noted(answer, Step(0, name, "candidate", candidate.text, current(candidate)))
    pick = Step(0, winner, "pick", chosen.text, current(chosen))
    for name in ("calls", "prompt_tokens", "completion_tokens", "cost"):
        took = sum(getattr(verdict, name) for verdict in verdicts)
        answer = replace(answer, **{name: getattr(answer, name) + took})
    told = ("text", "status", "finish_reason", "cut_tokens", "error")
    return noted(replace(answer, **{name: getattr(chosen, name) for name in told}), pick)


def _failed(base: Answer, candidates: Sequence[Answer]) -> Answer:
    """An answer that had failed before, or whose correctors have all failed: the first one's error."""
    if base.status == "error":
        return base
    return _charged(replace(candidates[0], trace=base.trace), candidates, base)


def _charged(answer: Answer, candidates: Sequence[Answer], base: Answer | None = None) -> Answer:
    """``answer`` at the cost of the base and of what each candidate spent on top of it."""
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
