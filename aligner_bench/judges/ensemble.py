"""The ``ensemble`` judge: several judges of the experiment combined, by majority or by mean.

It makes no calls itself: its members' verdicts are reused from the ledger. A member's view of a pair is one
number, the mean of its orders; a member without one has a status and no vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.preferences import Preference, combine
from aligner_bench.core.spec import JudgeName
from aligner_bench.core.types import Pair, Services, Verdict, VerdictStatus
from aligner_bench.judges.base import Fault, Judge, JudgeContext, JudgeSpec, identical_tie


class EnsembleJudge:
    """Gives one verdict per pair if more than half of the members judged it, else the members' status."""

    needs_references = False

    def __init__(self, spec: EnsembleSpec, members: Mapping[str, Judge]) -> None:
        self._rule = spec.rule
        self._members = members
        # Members may be audited on different numbers of pairs; the ensemble is audited on the largest.
        self.audit_pairs = max(member.audit_pairs for member in members.values())
        self.description = f"{spec.rule} of {', '.join(members)}"

    def identity(self, services: Services) -> dict[str, Any]:
        """Return the rule and the members' identities; member names do not matter."""
        members = [member.identity(services) for member in self._members.values()]
        return {"kind": "ensemble", "version": 1, "rule": self._rule, "members": members}

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return one verdict per pair, with every member's view in its detail, at no further cost."""
        views = {
            name: [combine([asdict(verdict) for verdict in one]) for one in member.compare(pairs, services)]
            for name, member in self._members.items()
        }
        return [
            identical_tie(order_free=True)
            if pair.candidate == pair.baseline
            else [self._verdict({name: column[i] for name, column in views.items()})]
            for i, pair in enumerate(pairs)
        ]

    def _verdict(self, views: Mapping[str, Preference]) -> Verdict:
        values = [view.value for view in views.values() if view.value is not None]
        detail = _words(views)
        if 2 * len(values) <= len(views):
            statuses = Counter(view.status for view in views.values() if view.value is None)
            status: VerdictStatus = statuses.most_common(1)[0][0]  # type: ignore[assignment]
            return Verdict("none", status, None, f"{len(values)} of {len(views)} members judged: {detail}")
        preference = _majority(values) if self._rule == "majority" else sum(values) / len(values)
        return Verdict("none", "tie" if preference == 0.5 else "ok", preference, detail)


def _majority(values: Sequence[float]) -> float:
    """Return 1 or 0 where more than half of the judging members are on that side, else a tie."""
    wins, losses = sum(value > 0.5 for value in values), sum(value < 0.5 for value in values)
    if 2 * wins > len(values):
        return 1.0
    return 0.0 if 2 * losses > len(values) else 0.5


def _words(views: Mapping[str, Preference]) -> str:
    parts = [
        f"{name} {view.status}" if view.value is None else f"{name} {view.value:.3f}"
        for name, view in views.items()
    ]
    sides = {(v.value > 0.5) - (v.value < 0.5) for v in views.values() if v.value is not None}
    how = "disagree" if len(sides) > 1 else "agree"
    return f"members {how}: {', '.join(parts)}"


class EnsembleSpec(JudgeSpec):
    """Several judges of the experiment combined into one."""

    no_pick: ClassVar[str] = "an ensemble judges only where its members do"

    judges: tuple[JudgeName, ...] = Field(min_length=2, description="its members, judges of this experiment")
    rule: Literal["majority", "mean"] = Field(
        "majority", description="majority: more than half of the members, else a tie; mean of preferences"
    )

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge over members that are already made. Raises UsageError for a missing one."""
        missing = [name for name in self.judges if name not in context.judges]
        if missing:
            raise UsageError(f"{self.no_pick}, as a judge of an experiment; it has no judge {missing[0]}")
        return EnsembleJudge(self, {name: context.judges[name] for name in self.judges})

    def members(self) -> tuple[str, ...]:
        """Return its members."""
        return self.judges

    def fault(self, name: str, judges: Mapping[str, JudgeSpec]) -> Fault | None:
        """Return the problem of a member that is an ensemble itself, or is named twice."""
        nested = [member for member in self.judges if judges[member].members()]
        if nested:
            return Fault("judges", f"{nested[0]} is an ensemble itself; name its members")
        doubled = len(set(self.judges)) < len(self.judges)
        return Fault("judges", "names a judge twice; each has one vote") if doubled else None

    def stand_in(self, model: str, names: Mapping[str, str]) -> Self:
        """Return the ensemble over its members' stand-ins."""
        return self.model_copy(update={"judges": tuple(names.get(name, name) for name in self.judges)})
