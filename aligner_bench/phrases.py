"""Results in words. Every sentence is made from numbers that are already computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aligner_bench.schema import Comparison, Copies, JudgePower, Number, SystemRow

_SHORT_ENOUGH = 0.25
_SPOILT = {
    "error": "answers that failed",
    "missing": "answers that are missing",
    "empty": "empty answers",
    "truncated": "answers that ended at the token limit",
    "cut": "answers made from a shortened input",
}
_FEW_COPIES = 0.02


def _points(number: Number) -> str:
    """A difference in points with its interval, as in "+12.3 points (95 % 8.9 to 15.6)"."""
    if number.value is None or number.lower is None or number.upper is None:
        return "not computable"
    low, high = (f"{100 * end:+.1f}" for end in (number.lower, number.upper))
    return f"{100 * number.value:+.1f} points (95 % {low} to {high})".replace("-", "\N{MINUS SIGN}")


def _percent(number: Number) -> str:
    """A share with its interval, as in "36 % (95 % 22 to 52, n = 48)"."""
    if number.value is None or number.lower is None or number.upper is None:
        return "not computable"
    ends = f"{100 * number.lower:.0f} to {100 * number.upper:.0f}"
    return f"{100 * number.value:.0f} % (95 % {ends}, n = {number.n})"


def comparison(row: Comparison, kind: str) -> str:
    """One comparison in words; net wins are wins minus losses, in percent of the prompts (omega)."""
    who = f"{row.system} against {row.baseline} ({row.suite}, {row.judge})"
    basis = f"n = {row.n}, {row.n_draws} ties"
    if row.n == 0:
        return f"{who}: no pair has a verdict ({row.n_failed} failed)."
    if row.conclusion == "same":
        return f"{who}: all {row.n} answers are the same, all ties, as they must be."
    net = f"net wins {_points(row.rates['omega'])}, {basis}"
    if row.conclusion == "no_power":
        return f"{who}: nothing can be said, for the judge has no discriminating power ({net})."
    if row.conclusion == "not_audited":
        return f"{who}: {net}, by imported verdicts of a judge that was not tried here."
    if row.conclusion in ("better", "worse"):
        verb = "beats" if row.conclusion == "better" else "loses to"
        return f"{row.system} {verb} {row.baseline} ({row.suite}, {row.judge}): {net}."
    need = (
        f"; about {row.n_to_decide:,} prompts would decide a difference of this size"
        if row.n_to_decide
        else ""
    )
    if kind == "resample":
        return f"A/A control {who}: no difference found, as it should be: {net}."
    return f"{who}: undecided: {net}{need}."


def power(judge: Mapping[str, Any], accuracy: Number | None, first_slot: Number | None) -> tuple[bool, str]:
    """Has this judge power, and why (contract 6)? The thresholds are named in the sentence.

    ``judge`` is its row of the judges table. Imported verdicts come from a judge that cannot be tried here:
    its numbers are printed, its power is not claimed, and they stay out of the gate.
    """
    from aligner_bench.stats.judge_power import CHANCE, SLOT_LIMITS

    name = judge["judge"]
    if not judge["needs_audit"]:
        return True, f"{name} checks the references; there is no taste to audit."
    tried = accuracy is not None and accuracy.lower is not None
    if not tried and judge["kind"] in ("imported", "recorded"):
        return False, _imported(judge, first_slot)
    if accuracy is None or accuracy.lower is None:
        return (
            False,
            f"{name}: no discriminating power shown, for it was not tried on pairs with a known winner.",
        )
    reasons = []
    if accuracy.lower <= CHANCE:
        reasons.append(f"right on {_percent(accuracy)} of pairs with a known winner, no better than a coin")
    if first_slot is not None and first_slot.value is not None:
        low, high = SLOT_LIMITS
        if not low <= first_slot.value <= high:
            slot, share = (
                ("first", first_slot.value) if first_slot.value > high else ("second", 1 - first_slot.value)
            )
            reasons.append(
                f"picks the {slot} slot in {100 * share:.0f} % of {first_slot.n} verdicts (bound 90 %)"
            )
    if reasons:
        return (
            False,
            f"{name}: no discriminating power: {'; '.join(reasons)}. Its win rates count for nothing.",
        )
    return True, f"{name} is right on {_percent(accuracy)} of pairs with a known winner."


def _imported(judge: Mapping[str, Any], first_slot: Number | None) -> str:
    slot = f"; the first slot wins {_percent(first_slot)} of the decided verdicts" if first_slot else ""
    what = "imported verdicts, one order each," if judge["kind"] == "imported" else "recorded verdicts"
    return (
        f"{judge['judge']}: {what} by a judge not tried here on pairs with a known "
        f"winner{slot}. They are shown as they are and do not enter the gate."
    )


def copies(found: Sequence[Copies]) -> list[str]:
    """Systems whose answers repeat the reference's more often than chance would have it."""
    return [
        f"{row.system} ({row.suite}): {row.identical} of {row.n} answers are identical to those of "
        f"{row.reference}, {row.prefix_sharing} share their first 100 characters with them: "
        "copied, or of the same origin."
        for row in found
        if row.prefix_sharing > _FEW_COPIES * row.n
    ]


def headline(
    rows: Sequence[Comparison], systems: Sequence[SystemRow], judges: Sequence[JudgePower], chosen: str | None
) -> list[str]:
    """The result in words, by the chosen judge, or the first one with power."""
    able = [judge.judge for judge in judges if judge.has_power]
    imported = [judge.judge for judge in judges if judge.not_audited]
    if not able and imported and chosen is None:
        return [row.sentence for row in rows if row.judge in imported]
    judge = chosen or (able[0] if able else None)
    if judge is None or judge not in able:
        return ["Nothing can be said: no judge of this run has discriminating power."]
    kinds = {row.system: row.kind for row in systems}
    order = {"better": 0, "worse": 0, "undecided": 1, "same": 2, "no_power": 3, "not_audited": 3}
    shown = [row for row in rows if row.judge == judge]
    shown.sort(key=lambda row: (kinds.get(row.system) == "resample", order[row.conclusion]))
    lines = [row.sentence for row in shown]
    for system in systems:
        if system.repair and system.damage and system.kind != "identity":
            lines.append(
                f"{system.system} mends {_percent(system.repair)} of the wrong answers to {system.suite} "
                f"and breaks {_percent(system.damage)} of the right ones."
            )
    return lines or ["Nothing was compared in this run."]


def warnings(
    rows: Sequence[Comparison], systems: Sequence[SystemRow], judges: Sequence[JudgePower], scale: str
) -> list[str]:
    """What a reader must know before believing a number."""
    found = []
    if scale == "smoke":
        found.append(
            "Smoke scale: small stand-in models and few prompts. A test of the plumbing, not a result."
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
    found += _spoilt(systems)
    weak = [
        row for row in rows if row.has_power and row.conclusion == "undecided" and row.mde and row.mde > 0.05
    ]
    if weak:
        least = min(row.mde for row in weak if row.mde)
        found.append(
            f"Under-powered: {len(weak)} undecided comparisons could only have found differences of "
            f"{200 * least:.0f} points of net wins or more (80 % power)."
        )
    return found


def _spoilt(systems: Sequence[SystemRow]) -> list[str]:
    """Answers that are not whole, one line a suite and status; truncation only where it is common."""
    found = []
    for suite in dict.fromkeys(system.suite for system in systems):
        here = [system for system in systems if system.suite == suite]
        for status, what in _SPOILT.items():
            counts = [(s.system, s.n_cut if status == "cut" else s.statuses.get(status, 0)) for s in here]
            common = status != "truncated" or any(
                count > _SHORT_ENOUGH * s.n_total for (_, count), s in zip(counts, here, strict=True)
            )
            named = ", ".join(f"{name} {count}" for name, count in counts if count)
            if named and common:
                found.append(f"{suite}: {what} (of {here[0].n_total} prompts): {named}.")
    return found
