"""Compute one row per system and suite: statuses, accuracy, repair, damage, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field

from aligner_bench.results.number import Number as Number
from aligner_bench.results.number import Published, share
from aligner_bench.store.tables import Row, Tables, group


def system_rows(tables: Tables) -> list[SystemRow]:
    """One row per system and suite."""
    return [
        _system(suite, system, rows)
        for (suite, system), rows in group(tables["responses"], "suite", "system").items()
    ]


class _Brief(NamedTuple):
    """What of an answer is counted; whole rows of a large run would not fit in memory."""

    status: str
    length: int
    same: bool | None  # as the upstream's; None where nothing was corrected
    correct: bool | None
    upstream_correct: bool | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cut: bool

    @classmethod
    def of(cls, row: Row) -> _Brief:
        text, before = row["text"], row["upstream"]
        return cls(
            row["status"],
            len(text),
            None if before is None else text == before,
            row["correct"],
            row["upstream_correct"],
            row["calls"],
            row["prompt_tokens"],
            row["completion_tokens"],
            row["cut_tokens"] > 0,
        )


def _system(suite: str, system: str, whole: Sequence[Row]) -> SystemRow:
    from aligner_bench.stats.hypothesis_tests import mcnemar_exact

    rows = [_Brief.of(row) for row in whole]
    corrected = [row for row in rows if row.same is not None]
    rated = any(row.correct is not None for row in rows)
    wrong = [row for row in corrected if row.upstream_correct is False]
    right = [row for row in corrected if row.upstream_correct is True]
    repaired = sum(bool(row.correct) for row in wrong)
    damaged = sum(not row.correct for row in right)
    return SystemRow(
        suite=suite,
        system=system,
        kind=whole[0]["kind"],
        upstream=whole[0]["upstream_model"],
        n_total=len(rows),
        statuses=dict(sorted(Counter(row.status for row in rows).items())),
        avg_length=sum(row.length for row in rows) / len(rows),
        accuracy=share(sum(bool(row.correct) for row in rows), len(rows)) if rated else None,
        unchanged=share(sum(bool(row.same) for row in corrected), len(corrected)),
        repair=share(repaired, len(wrong)),
        damage=share(damaged, len(right)),
        n_repaired=repaired,
        n_damaged=damaged,
        repair_p_value=mcnemar_exact(repaired, damaged) if rated and corrected else None,
        calls=sum(row.calls for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        n_cut=sum(row.cut for row in rows),
    )


class SystemRow(Published):
    """One system on one suite: what it answered, what that cost, and what its corrector mended or broke."""

    suite: str
    system: str
    kind: str = Field(description="upstream, resample, best_of_n, or the corrector's kind")
    upstream: str
    n_total: int
    statuses: dict[str, int] = Field(description="ok, empty, truncated, error, missing -> count")
    avg_length: float = Field(description="mean characters")
    accuracy: Number | None = Field(description="share right by the references, where the suite has them")
    unchanged: Number | None = Field(description="share of answers the corrector left as they were")
    repair: Number | None = Field(description="wrong upstream answers made right / wrong upstream answers")
    damage: Number | None = Field(description="right upstream answers made wrong / right upstream answers")
    n_repaired: int
    n_damaged: int
    repair_p_value: float | None = Field(description="exact McNemar test of repaired against damaged")
    calls: int
    prompt_tokens: int
    completion_tokens: int
    n_cut: int = Field(description="answers of which something was cut to fit a context")
