"""Compute the power of each judge: accuracy on known pairs, consistency, preference for a slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from aligner_bench.core.preferences import combine, first_slot_wins
from aligner_bench.core.types import CUT
from aligner_bench.results.agreement import Panel
from aligner_bench.results.measures import judges as m
from aligner_bench.results.measures.comparisons import CONSISTENCY
from aligner_bench.results.number import Number, Origin, Published, percent
from aligner_bench.store.tables import Row, Tables, group


class JudgePower(Published):
    """Discriminating power of one judge (contract 6)."""

    origin: ClassVar = Origin("audits and verdicts")
    judge: str
    kind: str
    identity: str = Field(description="SHA-256 of everything that defines the judge")
    description: str
    accuracy: Annotated[Number | None, m.KNOWN_WINNERS]
    consistency: Annotated[Number | None, CONSISTENCY]
    first_slot: Annotated[Number | None, m.FIRST_SLOT]
    n_cut: Annotated[int, m.VERDICTS_CUT] = 0
    panel: Panel | None = Field(None, description="agreement of an ensemble's members")
    has_power: bool = Field(description="shown here; False for imported verdicts, whose judge was not tried")
    sentence: str

    @property
    def not_audited(self) -> bool:
        """Imported or recorded verdicts of a judge that was not tried here: power is unknown."""
        return self.kind in ("imported", "recorded") and self.accuracy is None and not self.has_power


def slot_limits() -> tuple[float, float]:
    """Return the first-slot shares beyond which a judge has no power."""
    from aligner_bench.stats.judge_power import SLOT_LIMITS

    return SLOT_LIMITS


def judge_power(judge: Row, tables: Tables, members: Panel | None) -> JudgePower:
    """Compute contract 6: accuracy on pairs with a known winner, consistency and first-slot share."""
    name = judge["judge"]
    audits = [row for row in tables["audits"] if row["judge"] == name]
    verdicts = group(tables["verdicts"], "judge").get((name,), [])
    known = [combine(rows) for rows in group(audits, "pair_id").values()]
    asked = [
        *group(audits, "pair_id").values(),
        *group(verdicts, "suite", "prompt_id", "candidate", "baseline").values(),
    ]
    twice = [combine(rows) for rows in asked if len({row["order"] for row in rows}) > 1]
    slots = first_slot_wins([row for row in [*audits, *verdicts] if row["detail"] != "identical texts"])
    accuracy = m.KNOWN_WINNERS.optional(m.KNOWN_WINNERS.of_rows(known))
    first = m.FIRST_SLOT.optional(slots)
    has_power, sentence = power_sentence(judge, accuracy, first)
    return JudgePower(
        judge=name,
        kind=judge["kind"],
        identity=judge["identity"],
        description=judge["description"],
        accuracy=accuracy,
        consistency=CONSISTENCY.optional(CONSISTENCY.of_rows(twice)),
        first_slot=first,
        n_cut=sum(CUT in row["detail"] for row in verdicts),
        panel=members,
        has_power=has_power,
        sentence=f"{sentence} {name}: {members.sentence}." if members else sentence,
    )


def power_sentence(
    judge: Mapping[str, Any], accuracy: Number | None, first_slot: Number | None
) -> tuple[bool, str]:
    """Decide whether a judge has power, with the sentence that says why, with the thresholds (contract 6).

    ``judge`` is its row of the judges table. Imported verdicts come from a judge that cannot be tried here:
    its numbers are printed, its power is not claimed, and they stay out of the gate.
    """
    from aligner_bench.stats.judge_power import CHANCE

    name = judge["judge"]
    if not judge["needs_audit"]:
        return True, f"{name} compares with the references and needs no audit."
    tried = accuracy is not None and accuracy.lower is not None
    if not tried and judge["kind"] in ("imported", "recorded"):
        return False, _imported(judge, first_slot)
    if accuracy is None or accuracy.lower is None:
        return (
            False,
            f"{name}: no discriminating power shown: it was not tried on pairs with a known winner.",
        )
    reasons = []
    if accuracy.lower <= CHANCE:
        reasons.append(f"right on {percent(accuracy)} of pairs with a known winner, no better than a coin")
    if first_slot is not None and first_slot.value is not None:
        low, high = slot_limits()
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
            f"{name}: no discriminating power: {'; '.join(reasons)}. Its win rates are not used.",
        )
    return True, f"{name} is right on {percent(accuracy)} of pairs with a known winner."


def _imported(judge: Mapping[str, Any], first_slot: Number | None) -> str:
    slot = f"; the first slot wins {percent(first_slot)} of the decided verdicts" if first_slot else ""
    what = "imported verdicts, one order each," if judge["kind"] == "imported" else "recorded verdicts"
    return (
        f"{judge['judge']}: {what} by a judge not tried here on pairs with a known "
        f"winner{slot}. They are shown and do not enter the gate."
    )
