"""State the gate's findings in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from aligner_bench.results.series import Key

if TYPE_CHECKING:
    from aligner_bench.gate.checks import Check

_POWER = 0.9


def subject(check: Check) -> str:
    """Name the subject of a check: ``win rate of new against base (hand, facts), category odd``."""
    key = Key.of(check)
    return f"{key}, category {check.category}" if check.category is not None else str(key)


def change(check: Check) -> str:
    """State the change, as in ``52.0 % to 55.1 %: gain +3.1 points``; gains are above 0 for every metric."""
    gain = check.gain
    if gain.value is None or gain.lower is None or gain.upper is None:
        return "no prompt has a value in both"
    ends = f"one-sided 95 % bounds {100 * gain.lower:+.1f} and {100 * gain.upper:+.1f}"
    was = "" if check.before is None else f"{100 * check.before:.1f} % "
    now = "" if check.after is None else f"to {100 * check.after:.1f} %: "
    return f"{was}{now}gain {100 * gain.value:+.1f} points ({ends}), n = {check.n}"


def sentence(check: Check) -> str:
    """State the check in one line: outcome, subject, change, and the prompts that would decide."""
    margin = f"margin {100 * check.margin:g}"
    line = f"{check.outcome}: {subject(check)}: {change(check)}, {margin}"
    if check.outcome == "inconclusive" and check.gain.upper is not None and check.gain.upper < -check.margin:
        line += f"; a failure by itself, but not after Holm's correction (p = {check.p_adjusted:.3f})"
    elif check.outcome == "inconclusive" and check.n_to_decide is not None:
        line += f"; about {check.n_to_decide:,} prompts would decide"
    if check.n_unpaired:
        line += f"; {check.n_unpaired} prompts have no value in one of the two and are left out"
    return line + (" (advisory)" if check.advisory else "")


def crowded_categories(checks: Sequence[Check], spreads: Mapping[Key, float]) -> list[str]:
    """Explain each number gated by category: undecided categories, and the prompts that would decide."""
    lines = []
    for key, sd in spreads.items():
        parts = [check for check in checks if check.category is not None and Key.of(check) == key]
        undecided = sum(check.outcome == "inconclusive" for check in parts)
        if undecided and sd > 0:
            lines.append(_crowded(key, parts, undecided, sd))
    return lines


def _crowded(key: Key, parts: Sequence[Check], undecided: int, sd: float) -> str:
    from aligner_bench.stats.power import mde, noninferiority_n

    size, margin = round(median(check.n for check in parts)), parts[0].margin
    needed = noninferiority_n(margin, sd, power=_POWER)
    least = mde(size, sd, level=0.90, power=_POWER)
    return (
        f"{key}: {undecided} of {len(parts)} categories inconclusive. {len(parts)} categories of about "
        f"{size} prompts nearly always are: at the spread seen (sd {sd:.2f}) {size} prompts can rule out "
        f"only losses of {100 * least:.0f} points or more, and a margin of {100 * margin:g} takes about "
        f"{needed:,} prompts in each. Gate the suite as a whole and make its categories advisory, pool "
        "categories, or widen the margin."
    )
