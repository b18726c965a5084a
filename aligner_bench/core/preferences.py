"""Combine the verdicts of both orders into one preference per prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Preference(NamedTuple):
    """The candidate's preference on one prompt, in [0, 1]; None where ``status`` gives the reason."""

    value: float | None
    status: str
    inconsistent: bool
    identical: bool


def _side(value: float) -> int:
    return (value > 0.5) - (value < 0.5)


def combine(verdicts: Sequence[dict[str, Any]]) -> Preference:
    """Return the preference of one pair: the mean of its orders' verdicts.

    If one order has no verdict, the pair has no preference. Orders are inconsistent if their preferences lie
    on different sides of 0.5.
    """
    failed = [v for v in verdicts if v["preference"] is None]
    if failed or not verdicts:
        return Preference(None, failed[0]["status"] if failed else "missing", False, False)
    values = [float(v["preference"]) for v in verdicts]
    mean = sum(values) / len(values)
    identical = all(v["detail"] == "identical texts" for v in verdicts)
    return Preference(mean, "tie" if mean == 0.5 else "ok", len({_side(v) for v in values}) > 1, identical)


def first_slot_wins(verdicts: Sequence[dict[str, Any]]) -> list[bool]:
    """Return, for each decided verdict with a known order, whether the answer in the first slot won."""
    return [
        (v["preference"] > 0.5) == (v["order"] == "candidate_first")
        for v in verdicts
        if v["order"] in ("candidate_first", "baseline_first")
        and v["preference"] is not None
        and v["preference"] != 0.5
    ]
