"""Compute the costs of answers, verdicts and ratings: calls, tokens, US dollars, price of a repair."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from aligner_bench.results.measures import systems as m
from aligner_bench.results.number import Origin, Published
from aligner_bench.store.tables import Row, group

Tables = Mapping[str, Sequence[Row]]


class CostRow(Published):
    """Cost of one system on one suite, of one judge, or of one rater.

    Everything in the run counts, computed here or reused from the ledger; an upstream answer counts in every
    system that it is part of. US dollars are at the experiment's prices.
    """

    origin: ClassVar = Origin("responses, verdicts, audits and ratings")
    what: Literal["system", "judge", "rater"]
    name: str
    suite: str = Field(description="empty for judges and raters, which are counted over all suites")
    n: Annotated[int, m.COST_N]
    calls: Annotated[int, m.CALLS]
    prompt_tokens: Annotated[int, m.PROMPT_TOKENS]
    completion_tokens: Annotated[int, m.COMPLETION_TOKENS]
    price: Literal["paid", "none", "unknown"] = Field(description="none: tokens of own models have no price")
    usd: Annotated[float | None, m.USD]
    usd_each: Annotated[float | None, m.USD_EACH]
    n_repaired: Annotated[int | None, m.N_REPAIRED, Field(description="None where no reference is known")]
    usd_per_repair: Annotated[float | None, m.USD_PER_REPAIR]
    tokens_per_repair: Annotated[
        float | None, m.TOKENS_PER_REPAIR, Field(description="None where the upstream is not a system here")
    ]


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
    """Compute the costs of systems suite by suite, then judges, then raters."""
    return [*_systems(tables), *_judges_or_raters("judge", tables), *_judges_or_raters("rater", tables)]


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
    """Count wrong upstream answers made right; None without corrected answers or references."""
    known = [row for row in rows if row["upstream"] is not None and row["upstream_correct"] is not None]
    return m.N_REPAIRED.total(known) if known else None


def _judges_or_raters(what: Literal["judge", "rater"], tables: Tables) -> Iterator[CostRow]:
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
        usd_each=m.USD_EACH(total.usd, len(rows)) if known else None,
        n_repaired=repaired,
        usd_per_repair=_finite(m.USD_PER_REPAIR(extra[0], repaired)) if extra else None,
        tokens_per_repair=m.TOKENS_PER_REPAIR(extra[1], repaired) if extra else None,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
