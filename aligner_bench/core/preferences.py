"""From verdicts to preferences: one number a prompt, whatever the orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Preference(NamedTuple):
    """The candidate's preference on one prompt; None with the status that says why there is none."""

    value: float | None
    status: str
    inconsistent: bool
    identical: bool


def side(value: float) -> int:
    """1 for a win, 0 for a tie, -1 for a loss of the candidate."""
    return (value > 0.5) - (value < 0.5)


def combine(verdicts: Sequence[dict[str, Any]]) -> Preference:
    """The verdicts of one pair as one preference: the mean of its orders.

    Both orders are one unit: where one of them has no verdict, neither counts. Orders are inconsistent
    when they fall on different sides of 0.5.
    """
    failed = [v for v in verdicts if v["preference"] is None]
    if failed or not verdicts:
        return Preference(None, failed[0]["status"] if failed else "missing", False, False)
    values = [float(v["preference"]) for v in verdicts]
    mean = sum(values) / len(values)
    identical = all(v["detail"] == "identical texts" for v in verdicts)
    return Preference(mean, "tie" if mean == 0.5 else "ok", len({side(v) for v in values}) > 1, identical)


def first_slot_wins(verdicts: Sequence[dict[str, Any]]) -> list[bool]:
    """For each decided verdict with an order: did the answer in the first slot win?"""
    return [
        (v["preference"] > 0.5) == (v["order"] == "candidate_first")
        for v in verdicts
        if v["order"] in ("candidate_first", "baseline_first")
        and v["preference"] is not None
        and v["preference"] != 0.5
    ]
