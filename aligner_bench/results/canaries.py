"""Compute what judges made of canary systems, which must not win."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from aligner_bench.core.types import Verdict
from aligner_bench.judges.canaries import CANARIES, Canary
from aligner_bench.judges.canary_trials import Tables
from aligner_bench.results.number import Number, Published
from aligner_bench.store.tables import Row, group


class CanaryRow(Published):
    """One canary system against good or bad answers, by one judge of the run."""

    judge: str
    name: str = Field(description="the canary")
    what: str
    win_rate: Number = Field(description="the canary's, mean of both orders")
    failures: dict[str, int] = Field(description="status of pairs without a verdict -> count")
    threshold: str = Field(description="what a sound judge must do with it")
    ok: bool


def canary_results(tables: Tables) -> list[CanaryRow]:
    """One row a judge and canary, in the order of the judges and of ``CANARIES``."""
    found = group(tables.get("canaries", ()), "judge", "canary")
    judges = [row["judge"] for row in tables["judges"]]
    return [
        _result(judge, canary, found[judge, canary.name])
        for judge in judges
        for canary in CANARIES
        if (judge, canary.name) in found
    ]


def _result(judge: str, canary: Canary, rows: Sequence[Row]) -> CanaryRow:
    from aligner_bench.results.orders import by_order, policies

    verdicts = [[_verdict(row) for row in pair] for pair in group(rows, "pair_id").values()]
    first, second, _, failures = by_order(verdicts)
    rate = policies(first, second)["average"]
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
    """The judges that fell for a canary, one line each."""
    found = []
    for judge in dict.fromkeys(row.judge for row in rows):
        fallen = [row for row in rows if row.judge == judge and not row.ok]
        if fallen:
            named = ", ".join(f"{row.name} ({_percent(row.win_rate)})" for row in fallen)
            found.append(f"{judge} fell for canary systems, by their win rates: {named}.")
    return found


def _percent(number: Number) -> str:
    return "no verdict" if number.value is None else f"{100 * number.value:.0f} %"
