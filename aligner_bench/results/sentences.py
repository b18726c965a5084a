"""State results in words, from numbers already computed."""

from __future__ import annotations

from collections.abc import Sequence

from aligner_bench.results.comparisons import Comparison
from aligner_bench.results.judges import JudgePower
from aligner_bench.results.number import percent
from aligner_bench.results.systems import SystemRow

_SHORT_ENOUGH = 0.25
_DEFECTS = {
    "error": "failed answers",
    "missing": "missing answers",
    "empty": "empty answers",
    "truncated": "answers that ended at the token limit",
    "cut": "answers made from a shortened input",
}


def headline(
    rows: Sequence[Comparison], systems: Sequence[SystemRow], judges: Sequence[JudgePower], chosen: str | None
) -> list[str]:
    """State the result in words, by the chosen judge, or the first one with power."""
    able = [judge.judge for judge in judges if judge.has_power]
    imported = [judge.judge for judge in judges if judge.not_audited]
    if not able and imported and chosen is None:
        return [row.sentence for row in rows if row.judge in imported]
    judge = chosen or (able[0] if able else None)
    if judge is None or judge not in able:
        return ["No conclusion: no judge of this run has discriminating power."]
    kinds = {row.system: row.kind for row in systems}
    order = {"better": 0, "worse": 0, "undecided": 1, "same": 2, "no_power": 3, "not_audited": 3}
    shown = [row for row in rows if row.judge == judge]
    shown.sort(key=lambda row: (kinds.get(row.system) == "resample", order[row.conclusion]))
    lines = [row.sentence for row in shown]
    for system in systems:
        if system.repair and system.damage and system.kind != "identity":
            lines.append(
                f"{system.system} repairs {percent(system.repair)} of the wrong answers to {system.suite} "
                f"and damages {percent(system.damage)} of the right ones."
            )
    return lines or ["Nothing was compared in this run."]


def warnings(
    rows: Sequence[Comparison], systems: Sequence[SystemRow], judges: Sequence[JudgePower], scale: str
) -> list[str]:
    """List what a reader must know before using the numbers."""
    found = []
    if scale == "smoke":
        found.append(
            "Smoke scale: small stand-in models and few prompts. This tests that the experiment runs; "
            "its numbers are not results."
        )
    found += [judge.sentence for judge in judges if not judge.has_power]
    found += [f"{j.judge}: {j.panel.sentence}." for j in judges if j.panel and j.has_power]
    found += [f"{j.judge}: {j.n_cut} verdicts on texts cut to fit it." for j in judges if j.n_cut]
    for row in rows:
        if row.n_failed:
            causes = ", ".join(f"{count} {status}" for status, count in row.failures.items())
            found.append(
                f"{row.system} against {row.baseline} ({row.suite}, {row.judge}): {causes} of {row.n_total}."
            )
    found += _defects(systems)
    weak = [
        row for row in rows if row.has_power and row.conclusion == "undecided" and row.mde and row.mde > 0.05
    ]
    if weak:
        least = min(row.mde for row in weak if row.mde)
        found.append(
            f"Under-powered: {len(weak)} undecided comparisons could only detect differences of "
            f"{200 * least:.0f} points of net wins or more (80 % power)."
        )
    return found


def _defects(systems: Sequence[SystemRow]) -> list[str]:
    """Incomplete answers, one line per suite and status; truncation only where it is common."""
    found = []
    for suite in dict.fromkeys(system.suite for system in systems):
        here = [system for system in systems if system.suite == suite]
        for status, what in _DEFECTS.items():
            counts = [(s.system, s.n_cut if status == "cut" else s.statuses.get(status, 0)) for s in here]
            common = status != "truncated" or any(
                count > _SHORT_ENOUGH * s.n_total for (_, count), s in zip(counts, here, strict=True)
            )
            named = ", ".join(f"{name} {count}" for name, count in counts if count)
            if named and common:
                found.append(f"{suite}: {what} (of {here[0].n_total} prompts): {named}.")
    return found
