"""The progress that a run reports."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a run."""

    def phase(self, number: int, of: int, title: str) -> None:
        """Begin step ``number`` of ``of``."""

    def begin(self, stage: str, name: str, items: int, known: int) -> None:
        """Begin a group of items of one model, ``known`` of which are reused from the ledger."""

    def advance(self, items: int, tokens: int, usd: float = 0.0) -> None:
        """Report a stored batch; ``usd`` is what the whole run has spent so far."""

    def end(self) -> None:
        """End the group."""


class Silent:
    """Progress that prints nothing."""

    def phase(self, number: int, of: int, title: str) -> None:
        """Ignore."""

    def begin(self, stage: str, name: str, items: int, known: int) -> None:
        """Ignore."""

    def advance(self, items: int, tokens: int, usd: float = 0.0) -> None:
        """Ignore."""

    def end(self) -> None:
        """Ignore."""
