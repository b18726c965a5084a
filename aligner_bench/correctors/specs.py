"""What an experiment file says of correctors. They nest: a composition is a corrector like any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aligner_bench.judges.references import references
from aligner_bench.judges.specs import JudgeSpec
from aligner_bench.types import Decoding

_MAX_STEPS, _BATCH_SIZE = 5, 64
_PICKERS = ("inspector", "logprob", "pairrm", "rubric")


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Corrector(_Spec):
    """What every corrector can tell of itself and of the correctors in it."""

    def parts(self) -> tuple[CorrectorSpec, ...]:
        """The correctors directly in this one."""
        return ()

    def _own_models(self) -> set[str]:
        return set()

    def _own_inspectors(self) -> set[str]:
        return set()

    def models(self) -> set[str]:
        """Names of the models it uses, itself and in its parts."""
        return self._own_models().union(*(part.models() for part in self.parts()))

    def inspectors(self) -> set[str]:
        """Names of the inspectors that decide what it answers, itself and in its parts."""
        return self._own_inspectors().union(*(part.inspectors() for part in self.parts()))

    def aligners(self) -> Iterator[AlignerSpec]:
        """All aligners in it, however deep."""
        for part in self.parts():
            yield from part.aligners()


class IdentitySpec(_Corrector):
    """Leaves every answer as it is: the calibration check of the whole harness."""

    kind: Literal["identity"]


class AlignerSpec(_Corrector):
    """One model that rewrites, through a named prompt template."""

    kind: Literal["aligner"]
    model: str
    template: str = "prompted"
    decoding: Decoding | None = Field(None, description="instead of the experiment's, made greedy")

    def _own_models(self) -> set[str]:
        return {self.model}

    def aligners(self) -> Iterator[AlignerSpec]:
        """Itself."""
        yield self


class MemberSpec(_Spec):
    """One aligner of a squad and the inspector that decides whether it acts."""

    inspector: str
    aligner: AlignerSpec
    threshold: float | None = Field(None, ge=0, le=1, description="instead of the squad's")


class SquadSpec(_Corrector):
    """Inspectors and aligners: who corrects is decided by the scores (Ngweta et al. 2024, 4.1 and 3.2).

    ``order``: ``batch`` is the published algorithm, ``dataset`` takes the suite for the batch, ``per_sample``
    orders each answer's members by its own scores; ``loop`` is that of the paper's synthetic experiment.
    """

    kind: Literal["squad"]
    members: dict[str, MemberSpec] = Field(min_length=1)
    threshold: float | None = Field(None, ge=0, le=1, description="0.5 by default, 0.9 in a loop")
    order: Literal["per_sample", "dataset", "batch", "loop"] = "per_sample"
    batch_size: int = Field(_BATCH_SIZE, ge=1, description="answers that share an order; only for batch")
    max_rounds: int = Field(1, ge=1, description="passes over all members while a score is too low")
    max_steps: int = Field(_MAX_STEPS, ge=1, description="applications to one answer; only for loop")
    accept: Literal["always", "if_own_score_improves", "if_min_score_improves"] = Field(
        "always", description="which rewrites are kept; a rejected one leaves the answer as it was"
    )

    def _own_models(self) -> set[str]:
        return {member.aligner.model for member in self.members.values()}

    def _own_inspectors(self) -> set[str]:
        return {member.inspector for member in self.members.values()}

    def aligners(self) -> Iterator[AlignerSpec]:
        """Its members'."""
        for member in self.members.values():
            yield member.aligner

    def limit(self, name: str) -> float:
        """The score below which a member acts."""
        own = self.members[name].threshold
        common = self.threshold if self.threshold is not None else 0.9 if self.order == "loop" else 0.5
        return common if own is None else own

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(self.inspectors()) < len(self.members):
            raise ValueError("two members share one inspector; each needs its own")
        if self.order != "batch" and self.batch_size != _BATCH_SIZE:
            raise ValueError(f"batch_size belongs to order: batch, not to order: {self.order}")
        if self.order != "loop" and self.max_steps != _MAX_STEPS:
            raise ValueError(f"max_steps belongs to order: loop, not to order: {self.order}")
        if self.order == "loop" and self.max_rounds != 1:
            raise ValueError("a loop has max_steps, not max_rounds")
        return self


class ChainSpec(_Corrector):
    """Correctors one after the other, each on what the one before it made."""

    kind: Literal["chain"]
    correctors: tuple[CorrectorSpec, ...] = Field(min_length=1)

    def parts(self) -> tuple[CorrectorSpec, ...]:
        """The links."""
        return self.correctors


class RepeatSpec(_Corrector):
    """One corrector several times over."""

    kind: Literal["repeat"]
    corrector: CorrectorSpec
    times: int = Field(ge=1)

    def parts(self) -> tuple[CorrectorSpec, ...]:
        """The one that is repeated."""
        return (self.corrector,)


class GatedSpec(_Corrector):
    """A safety layer: the corrector acts only where an inspector's score is below the threshold."""

    kind: Literal["gated"]
    inspector: str
    threshold: float = Field(0.5, ge=0, le=1)
    corrector: CorrectorSpec

    def parts(self) -> tuple[CorrectorSpec, ...]:
        """The one behind the gate."""
        return (self.corrector,)

    def _own_inspectors(self) -> set[str]:
        return {self.inspector}


class RoutedSpec(_Corrector):
    """A mixture of aligners: each answer goes to one corrector, or to the default, or stays as it is.

    ``by: category`` routes by the prompt's category; ``by: lowest_score`` has inspectors as routes and takes
    the one with the lowest score, if that is below the threshold (ties in declared order).
    """

    kind: Literal["routed"]
    by: Literal["category", "lowest_score"]
    routes: dict[str, CorrectorSpec] = Field(min_length=1)
    default: CorrectorSpec | None = None
    threshold: float = Field(1.0, ge=0, le=1, description="scores from here on need no route")

    def parts(self) -> tuple[CorrectorSpec, ...]:
        """All routes and the default."""
        return (*self.routes.values(), *((self.default,) if self.default is not None else ()))

    def _own_inspectors(self) -> set[str]:
        return set(self.routes) if self.by == "lowest_score" else set()


class ScorePick(_Spec):
    """The candidate with the highest mean, or the highest lowest, inspector score."""

    by: Literal["mean", "min"]
    inspectors: tuple[str, ...] = Field(min_length=1)


class JudgePick(_Spec):
    """The candidate that a judge prefers, asked in both orders: each against the best one so far."""

    by: Literal["judge"]
    judge: JudgeSpec

    @model_validator(mode="after")
    def _knows_no_answers(self) -> Self:
        if self.judge.kind not in _PICKERS:
            why = "; the reference judge knows the right answers" if self.judge.kind == "reference" else ""
            raise ValueError(f"a corrector may ask {', '.join(_PICKERS)}, not {self.judge.kind}{why}")
        return self

    def names(self, what: str) -> set[str]:
        """The models, or the inspectors, that the judge asks."""
        return {used.name for used in references(self.judge) if used.what == what}


class ParallelSpec(_Corrector):
    """Several correctors on the same answer, of whose results one is picked; ties keep the first.

    The answer as it came in is the first candidate, unless ``keep: false``.
    """

    kind: Literal["parallel"]
    correctors: dict[str, CorrectorSpec] = Field(min_length=1)
    pick: Annotated[ScorePick | JudgePick, Field(discriminator="by")]
    keep: bool = Field(True, description="may the answer stay as it came in?")

    def parts(self) -> tuple[CorrectorSpec, ...]:
        """The candidates' makers."""
        return tuple(self.correctors.values())

    def _own_models(self) -> set[str]:
        return self.pick.names("model") if isinstance(self.pick, JudgePick) else set()

    def _own_inspectors(self) -> set[str]:
        if isinstance(self.pick, JudgePick):
            return self.pick.names("inspector")
        return set(self.pick.inspectors)


CorrectorSpec = Annotated[
    IdentitySpec | AlignerSpec | SquadSpec | ChainSpec | RepeatSpec | GatedSpec | RoutedSpec | ParallelSpec,
    Field(discriminator="kind"),
]

for _model in (_Corrector, ChainSpec, RepeatSpec, GatedSpec, RoutedSpec, ParallelSpec):
    _model.model_rebuild()
