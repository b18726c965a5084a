"""Cache of a judge's last verdicts, for members of ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aligner_bench.core.types import Pair, Request, Services, Verdict
from aligner_bench.judges.base import AsksModels, Judge


class Remembering:
    """Caches a judge's last verdicts: the judge and its ensemble get the same verdicts of a block.

    The ledger does not store failed calls; without the cache, an ensemble would repeat them.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._last: dict[Pair, list[Verdict]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._judge, name)

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return the judge's verdicts, from the cache for the pairs of the last call."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._last]
        fresh = dict(zip(new, self._judge.compare(new, services), strict=True))
        self._last = {pair: fresh[pair] if pair in fresh else self._last[pair] for pair in pairs}
        return [self._last[pair] for pair in pairs]


class _RememberingAsker(Remembering):
    """A cached judge that prompts models."""

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Return model and request of every call that judging this pair takes."""
        asked: list[tuple[str, Request]] = self._judge.would_ask(pair)  # type: ignore[attr-defined]
        return asked


def remembering(judge: Judge) -> Judge:
    """Return the judge with a cache of its last verdicts."""
    return _RememberingAsker(judge) if isinstance(judge, AsksModels) else Remembering(judge)
