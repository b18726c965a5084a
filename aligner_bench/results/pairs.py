"""Combine the verdicts of one prompt into one preference per judge and pair of systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aligner_bench.core.preferences import combine
from aligner_bench.store.tables import Row, group

_KEPT = ("order", "status", "preference", "detail")


def judged_pairs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Combine verdicts into one mapping per judge and pair of systems: preference and single verdicts."""
    found = []
    for (judge, candidate, baseline), orders in group(rows, "judge", "candidate", "baseline").items():
        preference = combine(orders)
        found.append(
            {
                "judge": judge,
                "candidate": candidate,
                "baseline": baseline,
                "preference": preference.value,
                "status": preference.status,
                "inconsistent": preference.inconsistent,
                "orders": [{name: row[name] for name in _KEPT} for row in orders],
            }
        )
    return found
