"""The contract of a judge: its spec in an experiment file, and the object that compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.registry import Kind, Registry
from aligner_bench.core.spec import SuiteName
from aligner_bench.core.types import IDENTICAL, Pair, Request, Services, Verdict
from aligner_bench.engines.base import ModelSpec
from aligner_bench.judges.registry import JUDGES


@runtime_checkable
class Asks(Protocol):
    """A judge or rater that asks models in words."""

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Model and request of every call that judging this pair takes; nothing is sent."""


class Judge(Protocol):
    """Compares pairs. It is tried on ``audit_pairs`` pairs with a known winner (0: it needs no audit)."""

    @property
    def description(self) -> str:
        """What it is, for people."""

    @property
    def audit_pairs(self) -> int:
        """How many pairs with a known winner it is tried on."""

    @property
    def needs_references(self) -> bool:
        """Can it only judge prompts that have reference answers?"""

    def identity(self, services: Services) -> dict[str, Any]:
        """Everything that decides a verdict: model, prompt, parser, decoding."""

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """For each pair its verdicts: one in each order, or one where order means nothing."""


def identical_tie(order_free: bool) -> list[Verdict]:
    """The verdicts of two equal texts: ties, without asking anybody."""
    if order_free:
        return [Verdict("none", "tie", 0.5, IDENTICAL)]
    return [
        Verdict("candidate_first", "tie", 0.5, IDENTICAL),
        Verdict("baseline_first", "tie", 0.5, IDENTICAL),
    ]


class Fault(NamedTuple):
    """What is wrong with a spec, and in which of its fields."""

    field: str
    problem: str


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What a judge may be made from: models and judges of its experiment, by name."""

    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)


class JudgeSpec(Kind):
    """Compare two answers to one prompt. A subclass declares its fields and implements ``make``.

    Names of models, inspectors and judges stand in fields of type ``ModelName``, ``InspectorName`` and
    ``JudgeName``; what it uses is found from these types.
    """

    registry: ClassVar[Registry] = JUDGES
    needs_references: ClassVar[bool] = False
    """Does it judge only suites that have reference answers?"""
    no_pick: ClassVar[str] = ""
    """Why it may not pick among a corrector's candidates; empty: it may."""
    swapped_at_smoke: ClassVar[bool] = False
    """Does ``--scale smoke`` make another judge of it, which then needs another name?"""

    kind: str = Field(description="the kind of judge")
    suites: tuple[SuiteName, ...] = Field((), description="judge only these suites; empty: all it can judge")

    def make(self, context: JudgeContext) -> Judge:
        """The judge, without loading a model. UsageError where it needs something that is not there."""
        raise TypeError(f"{type(self).__name__} does not implement make")

    def members(self) -> tuple[str, ...]:
        """The judges of the experiment that it consists of."""
        return ()

    def inspects(self) -> tuple[str, ...]:
        """The inspectors whose scores decide its verdicts."""
        return tuple(use.name for use in self.uses() if use.what == "inspector")

    def reads_probabilities(self) -> bool:
        """Does it need probabilities of tokens that its model may not draw?"""
        return False

    def own_models(self) -> dict[str, ModelSpec]:
        """Models that it brings itself, which the experiment does not name."""
        return {}

    def anchored(self, anchor: Callable[[Path], Path]) -> Self:
        """The spec with the files it names made relative to the experiment file."""
        return self

    def fault(self, name: str, judges: Mapping[str, JudgeSpec]) -> Fault | None:
        """What would prevent making it under this name beside these judges; no model is loaded."""
        try:
            self.make(JudgeContext())
        except UsageError as error:
            return Fault(self.registry.field, str(error))
        return None

    def check_weights(self, name: str) -> None:
        """UsageError where the weights that it loads itself are missing, or do not fit its name."""

    def stand_in(self, model: str, names: Mapping[str, str]) -> Self:
        """The spec for ``--scale smoke``.

        ``model`` stands in for a model of its own; ``names`` maps judges to the names of their stand-ins.
        """
        return self
