"""Decide whether the controls of a run came out as expected: systems without a true difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aligner_bench.results.comparisons import Comparison
from aligner_bench.results.measures.comparisons import DISCRETE

Control = Literal["calibration", "control"]
CONTROLS: Mapping[str, Control] = {"identity": "calibration", "resample": "control"}
"""Kind of a system -> what its comparison checks."""


def control_outcome(row: Comparison, control: Control) -> tuple[bool, str]:
    """Decide whether a control came out as expected, and say so.

    A calibration compares equal texts, so that every pair must tie. A control is the upstream again with
    another seed, so that the interval should contain 50 %.
    """
    if control == "calibration":
        good = row.n_wins == row.n_wins_base == 0
        return (
            good,
            "all ties, as expected" if good else "not all ties: this judge prefers one of two equal texts",
        )
    rate = row.rates.get(DISCRETE.name)
    if rate is None or rate.lower is None or rate.upper is None:
        return False, "no interval"
    good = rate.lower <= 0.5 <= rate.upper
    return good, "interval contains 50 %" if good else "interval excludes 50 %, as a few do by chance"
