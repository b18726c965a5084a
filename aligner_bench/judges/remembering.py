"""A judge that gives the verdicts of its last call again, as a member of ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aligner_bench.core.types import Pair, Request, Services, Verdict
from aligner_bench.judges.base import Asks, Judge


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
