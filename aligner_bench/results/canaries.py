"""Compute the canary checks: win rates of systems that a sound judge must not prefer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from aligner_bench.core.types import Verdict
from aligner_bench.judges.canaries import CANARIES, Canary
from aligner_bench.judges.canary_trials import Tables
from aligner_bench.results.measures import judges as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.results.orders import by_order
from aligner_bench.store.tables import Row, group


class CanaryRow(Published):
    """One canary system against good or bad answers, by one judge of the run."""

    origin: ClassVar = Origin("canaries", {"name": "canary"})
    judge: str
    name: str = Field(description="the canary")
    what: str
    win_rate: Annotated[Number, m.CANARY_RATE]
    failures: Annotated[dict[str, int], m.CANARY_FAILURES]
    threshold: str = Field(description="the win rate that a sound judge must give it")
    ok: bool


def canary_results(tables: Tables) -> list[CanaryRow]:
    """Compute one row per judge and canary, in the order of the judges and of ``CANARIES``."""
    found = group(tables.get("canaries", ()), "judge", "canary")
    judges = [row["judge"] for row in tables["judges"]]
    return [
        _result(judge, canary, found[judge, canary.name])
        for judge in judges
        for canary in CANARIES
        if (judge, canary.name) in found
    ]


def _result(judge: str, canary: Canary, rows: Sequence[Row]) -> CanaryRow:
    verdicts = [[_verdict(row) for row in pair] for pair in group(rows, "pair_id").values()]
    first, second, _, failures = by_order(verdicts)
    rate = m.CANARY_RATE(first, second)
    lower, upper = (math.nan if end is None else end for end in (rate.lower, rate.upper))
    return CanaryRow(
        judge=judge,
        name=canary.name,
        what=canary.what,
        win_rate=rate,
        failures=failures,
        threshold=canary.threshold,
        ok=canary.holds(lower, upper),
    )


def _verdict(row: Mapping[str, Any]) -> Verdict:
    return Verdict(row["order"], row["status"], row["preference"], row["detail"] or "")


def canary_warnings(rows: Sequence[CanaryRow]) -> list[str]:
    """Write one line per judge that failed canary checks."""
    found = []
    for judge in dict.fromkeys(row.judge for row in rows):
        failed = [row for row in rows if row.judge == judge and not row.ok]
        if failed:
            named = ", ".join(f"{row.name} ({_percent(row.win_rate)})" for row in failed)
            found.append(f"{judge} failed canary checks, with the canaries' win rates: {named}.")
    return found


def _percent(number: Number) -> str:
    return "no verdict" if number.value is None else f"{100 * number.value:.0f} %"
