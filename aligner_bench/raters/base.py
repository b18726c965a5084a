"""The contract of a rater: its spec in an experiment file, and the object that labels answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from pydantic import Field

from aligner_bench.core.registry import Kind, Registry
from aligner_bench.core.spec import SuiteName
from aligner_bench.core.types import Services
from aligner_bench.raters.contracts import Label, Status
from aligner_bench.raters.registry import RATERS


class ToRate(NamedTuple):
    """One answer, with the categories of its suite."""

    prompt: str
    answer: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rated:
    """What became of one answer, and what that took."""

    label: Label | None
    status: Status
    category: str | None = None
    detail: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut_tokens: int = 0
    cost: float = 0.0


class Rater(Protocol):
    """Labels answers one by one. It is tried on ``audit_items`` answers with a known label."""

    @property
    def kind(self) -> str:
        """Its kind, as experiment files spell it."""

    @property
    def description(self) -> str:
        """What it is, for people."""

    @property
    def audit_items(self) -> int:
        """How many answers with a known label it is tried on."""

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites that it rates; empty: all."""

    def identity(self, services: Services) -> dict[str, Any]:
        """Everything that decides a label: model, demand, parser, decoding."""

    def rate(self, items: Sequence[ToRate], services: Services) -> list[Rated]:
        """Ratings in the order of the items."""


class RaterSpec(Kind):
    """Label answers. A subclass declares its fields and implements ``make``."""

    registry: ClassVar[Registry] = RATERS

    kind: str = Field(description="the kind of rater")
    suites: tuple[SuiteName, ...] = Field((), description="rate only these suites; empty: all")

    def make(self) -> Rater:
        """The rater, without loading a model."""
        raise TypeError(f"{type(self).__name__} does not implement make")
