"""The ``ensemble`` judge: several judges of the experiment as one, by majority or by mean.

It asks nobody itself: its members' verdicts come from the ledger, where the members have put them. What a
member says of a pair is one number, the mean of its orders; a member without one has a status and no vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aligner_bench.judges.asks import Asks
from aligner_bench.judges.base import identical_tie
from aligner_bench.judges.specs import EnsembleSpec
from aligner_bench.preferences import Preference, combine
from aligner_bench.types import Pair, Request, Services, Verdict, VerdictStatus

if TYPE_CHECKING:
    from aligner_bench.judges.base import Judge


class Remembering:
    """A member that is asked once: by itself and in its ensemble it gives the same verdicts of a block.

    The ledger does not keep calls that failed; without this, an ensemble would try them again.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._last: dict[Pair, list[Verdict]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._judge, name)

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """The member's verdicts; those of the last call are not asked for again."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._last]
        fresh = dict(zip(new, self._judge.compare(new, services), strict=True))
        self._last = {pair: fresh[pair] if pair in fresh else self._last[pair] for pair in pairs}
        return [self._last[pair] for pair in pairs]


class _RememberingAsker(Remembering):
    """A member that can also say what it would ask."""

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Model and request of every call that judging this pair takes."""
        asked: list[tuple[str, Request]] = self._judge.would_ask(pair)  # type: ignore[attr-defined]
        return asked


def remembering(judge: Judge) -> Judge:
    """The judge as a member of ensembles."""
    return _RememberingAsker(judge) if isinstance(judge, Asks) else Remembering(judge)


class EnsembleJudge:
    """One verdict a pair. More than half of the members must have judged it; else it has their status."""

    needs_references = False

    def __init__(self, spec: EnsembleSpec, members: Mapping[str, Judge]) -> None:
        self._rule = spec.rule
        self._members = members
        # Each member is tried on pairs of its own number; the ensemble on those that one of them knows.
        self.audit_pairs = max(member.audit_pairs for member in members.values())
        self.description = f"{spec.rule} of {', '.join(members)}"

    def identity(self, services: Services) -> dict[str, Any]:
        """The rule and its members' identities; what the members are called does not matter."""
        members = [member.identity(services) for member in self._members.values()]
        return {"kind": "ensemble", "version": 1, "rule": self._rule, "members": members}

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """One verdict a pair, with every member's view in its detail. It costs nothing beside its members."""
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
    """1 or 0 where more than half of the judging members are on that side, else a tie."""
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
