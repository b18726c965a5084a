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
class AsksModels(Protocol):
    """A judge or rater that sends prompts to models."""

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Return model and request of every call that judging this pair takes, without sending it."""


class Judge(Protocol):
    """Compares pairs of answers; audited on ``audit_pairs`` pairs with a known winner (0: no audit)."""

    @property
    def description(self) -> str:
        """The judge's description for people."""

    @property
    def audit_pairs(self) -> int:
        """Number of pairs with a known winner that it is audited on."""

    @property
    def needs_references(self) -> bool:
        """Whether it only judges prompts with reference answers."""

    def identity(self, services: Services) -> dict[str, Any]:
        """Return everything that decides a verdict: model, prompt, parser, decoding."""

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return the verdicts of each pair: one per order, or one where order has no meaning."""


def identical_tie(order_free: bool) -> list[Verdict]:
    """Return the verdicts of two equal texts: ties, without a call."""
    if order_free:
        return [Verdict("none", "tie", 0.5, IDENTICAL)]
    return [
        Verdict("candidate_first", "tie", 0.5, IDENTICAL),
        Verdict("baseline_first", "tie", 0.5, IDENTICAL),
    ]


class Fault(NamedTuple):
    """A problem of a spec, and the field that has it."""

    field: str
    problem: str


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What a judge may be made from: models and judges of its experiment, by name."""

    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)


class JudgeSpec(Kind):
    """Compare two answers to one prompt. A subclass declares its fields and implements ``make``.

    Fields of type ``ModelName``, ``InspectorName`` and ``JudgeName`` name the models, inspectors and judges
    that it uses; the base class finds them from these types.
    """

    registry: ClassVar[Registry] = JUDGES
    needs_references: ClassVar[bool] = False
    """Whether it only judges suites with reference answers."""
    no_pick: ClassVar[str] = ""
    """Why it must not pick among a corrector's candidates; empty if it may."""
    swapped_at_smoke: ClassVar[bool] = False
    """Whether ``--scale smoke`` replaces it by another judge, which then needs another name."""

    kind: str = Field(description="the kind of judge")
    suites: tuple[SuiteName, ...] = Field((), description="judge only these suites; empty: all it can judge")

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge, without loading a model. Raises UsageError where a requirement is missing."""
        raise TypeError(f"{type(self).__name__} does not implement make")

    def members(self) -> tuple[str, ...]:
        """Return the judges of the experiment that it consists of."""
        return ()

    def inspects(self) -> tuple[str, ...]:
        """Return the inspectors whose scores decide its verdicts."""
        return tuple(use.name for use in self.uses() if use.what == "inspector")

    def reads_probabilities(self) -> bool:
        """Return whether it needs probabilities of tokens that its model may not sample."""
        return False

    def own_models(self) -> dict[str, ModelSpec]:
        """Return models that it defines itself, which the experiment does not name."""
        return {}

    def anchored(self, anchor: Callable[[Path], Path]) -> Self:
        """Return the spec with its paths resolved by ``anchor``, relative to the experiment file."""
        return self

    def fault(self, name: str, judges: Mapping[str, JudgeSpec]) -> Fault | None:
        """Return what would prevent making it, or None; no model is loaded.

        ``name`` is its name in the experiment, ``judges`` are the experiment's judges.
        """
        try:
            self.make(JudgeContext())
        except UsageError as error:
            return Fault(self.registry.field, str(error))
        return None

    def check_weights(self, name: str) -> None:
        """Raise UsageError where weights that it loads itself are missing or do not fit its name."""

    def stand_in(self, model: str, names: Mapping[str, str]) -> Self:
        """Return the spec for ``--scale smoke``.

        ``model`` replaces its own model; ``names`` maps judges to the names of their stand-ins.
        """
        return self
