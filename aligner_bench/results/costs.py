"""What a run's answers, verdicts and ratings took: calls, tokens, US dollars, and the price of a repair."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from aligner_bench.results.number import Published
from aligner_bench.store.tables import Row, group

Tables = Mapping[str, Sequence[Row]]


class CostRow(Published):
    """What one system on one suite, one judge, or one rater took.

    Everything that is shown counts, whether this run paid for it or found it in the ledger; an upstream
    answer counts in every system that it is part of. US dollars are at the experiment's prices.
    """

    what: Literal["system", "judge", "rater"]
    name: str
    suite: str = Field(description="empty for judges and raters, which are counted over all suites")
    n: int = Field(description="answers, verdicts or ratings")
    calls: int
    prompt_tokens: int
    completion_tokens: int
    price: Literal["paid", "none", "unknown"] = Field(description="none: a token of own models has no price")
    usd: float | None = Field(description="None: no price is known for some call")
    usd_each: float | None = Field(description="usd / n")
    n_repaired: int | None = Field(description="wrong upstream answers made right; None where none is known")
    usd_per_repair: float | None = Field(
        description="what correction added to the upstream's answers / n_repaired"
    )
    tokens_per_repair: float | None = Field(
        description="the same in tokens, read and written; None where the upstream alone is no system here"
    )


class _Sum(NamedTuple):
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float  # NaN: not known

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Sum:
        calls = read = written = 0
        costs = []
        for row in rows:
            calls += row["calls"] or 0
            read += row["prompt_tokens"] or 0
            written += row["completion_tokens"] or 0
            costs.append(row["cost"] or 0.0)
        return cls(calls, read, written, math.fsum(costs))

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def cost_rows(tables: Tables) -> list[CostRow]:
    """Systems suite by suite, then judges, then raters."""
    return [*_systems(tables), *_askers("judge", tables), *_askers("rater", tables)]


def _systems(tables: Tables) -> Iterator[CostRow]:
    found = group(tables["responses"], "suite", "system")
    alone = {
        (rows[0]["suite"], rows[0]["upstream_model"]): _Sum.of(rows)
        for rows in found.values()
        if rows[0]["kind"] == "upstream"
    }
    for (suite, system), rows in found.items():
        before = alone.get((suite, rows[0]["upstream_model"]))
        yield _row("system", system, suite, rows, _repaired(rows), before)


def _repaired(rows: Sequence[Row]) -> int | None:
    """Wrong upstream answers made right; None where nothing was corrected or no reference is known."""
    known = [row for row in rows if row["upstream"] is not None and row["upstream_correct"] is not None]
    return sum(row["upstream_correct"] is False and bool(row["correct"]) for row in known) if known else None


def _askers(what: Literal["judge", "rater"], tables: Tables) -> Iterator[CostRow]:
    names = ("verdicts", "audits", "canaries") if what == "judge" else ("ratings", "rater_audits")
    rows = [row for name in names for row in tables.get(name, ())]
    for (name,), asked in group(rows, what).items():
        yield _row(what, name, "", asked, None, None)


def _row(
    what: Literal["system", "judge", "rater"],
    name: str,
    suite: str,
    rows: Sequence[Row],
    repaired: int | None,
    before: _Sum | None,
) -> CostRow:
    total = _Sum.of(rows)
    known = not math.isnan(total.usd)
    extra = (total.usd - before.usd, total.tokens - before.tokens) if before and repaired else None
    return CostRow(
        what=what,
        name=name,
        suite=suite,
        n=len(rows),
        calls=total.calls,
        prompt_tokens=total.prompt_tokens,
        completion_tokens=total.completion_tokens,
        price="unknown" if not known else "paid" if total.usd else "none",
        usd=total.usd if known else None,
        usd_each=total.usd / len(rows) if known else None,
        n_repaired=repaired,
        usd_per_repair=_finite(extra[0] / repaired) if extra and repaired else None,
        tokens_per_repair=extra[1] / repaired if extra and repaired else None,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
