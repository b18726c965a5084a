"""Judges that can say beforehand what they would ask: the ground for a plan's price."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from aligner_bench.types import Pair, Request


@runtime_checkable
class Asks(Protocol):
    """A judge or rater that asks models in words."""

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Model and request of every call that judging this pair takes; nothing is sent."""
