"""Compute one row per system and suite: statuses, accuracy, repair, damage, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from aligner_bench.results.measures import systems as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.store.tables import Row, Tables, group


class SystemRow(Published):
    """One system on one suite: its answers, their cost, and what its corrector repaired and damaged."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    kind: str = Field(description="upstream, resample, best_of_n, or the corrector's kind")
    upstream: str
    n_total: Annotated[int, m.N_ANSWERS]
    statuses: Annotated[dict[str, int], m.STATUSES]
    avg_length: Annotated[float, m.AVG_LENGTH]
    accuracy: Annotated[Number | None, m.ACCURACY]
    unchanged: Annotated[Number | None, m.UNCHANGED]
    repair: Annotated[Number | None, m.REPAIR]
    damage: Annotated[Number | None, m.DAMAGE]
    n_repaired: Annotated[int, m.N_REPAIRED]
    n_damaged: Annotated[int, m.N_DAMAGED]
    repair_p_value: Annotated[float | None, m.REPAIR_P]
    calls: Annotated[int, m.CALLS]
    prompt_tokens: Annotated[int, m.PROMPT_TOKENS]
    completion_tokens: Annotated[int, m.COMPLETION_TOKENS]
    n_cut: Annotated[int, m.N_CUT]


def system_rows(tables: Tables) -> list[SystemRow]:
    """Compute one row per system and suite."""
    return [
        _system(suite, system, rows)
        for (suite, system), rows in group(tables["responses"], "suite", "system").items()
    ]


_OF_ROWS = (m.ACCURACY, m.UNCHANGED, m.REPAIR, m.DAMAGE)


class _Brief(NamedTuple):
    """The parts of a response that are counted; whole rows of a large run would not fit in memory."""

    status: str
    length: int
    rated: bool
    values: tuple[float | None, ...]  # of _OF_ROWS
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cut: bool

    @classmethod
    def of(cls, row: Row) -> _Brief:
        return cls(
            row["status"],
            len(row["text"]),
            row["correct"] is not None,
            tuple(measure.values([row])[0] if measure.values else None for measure in _OF_ROWS),
            row["calls"],
            row["prompt_tokens"],
            row["completion_tokens"],
            row["cut_tokens"] > 0,
        )


def _system(suite: str, system: str, whole: Sequence[Row]) -> SystemRow:
    rows = [_Brief.of(row) for row in whole]
    rated = any(row.rated for row in rows)
    right, unchanged, repaired, damaged = (
        [value for row in rows if (value := row.values[i]) is not None] for i in range(len(_OF_ROWS))
    )
    n_repaired, n_damaged = int(sum(repaired)), int(sum(damaged))
    return SystemRow(
        suite=suite,
        system=system,
        kind=whole[0]["kind"],
        upstream=whole[0]["upstream_model"],
        n_total=len(rows),
        statuses=dict(sorted(Counter(row.status for row in rows).items())),
        avg_length=m.AVG_LENGTH([row.length for row in rows]),
        accuracy=m.ACCURACY.optional(right) if rated else None,
        unchanged=m.UNCHANGED.optional(unchanged),
        repair=m.REPAIR.optional(repaired),
        damage=m.DAMAGE.optional(damaged),
        n_repaired=n_repaired,
        n_damaged=n_damaged,
        repair_p_value=m.REPAIR_P(n_repaired, n_damaged) if rated and unchanged else None,
        calls=sum(row.calls for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        n_cut=sum(row.cut for row in rows),
    )
