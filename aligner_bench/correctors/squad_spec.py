"""The fields of a squad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from aligner_bench.core.spec import InspectorName, Spec
from aligner_bench.correctors.aligner import AlignerSpec
from aligner_bench.correctors.base import CorrectorSpec, Work

_MAX_STEPS, _BATCH_SIZE = 5, 64


class MemberSpec(Spec):
    """One aligner of a squad and the inspector that decides whether it acts."""

    inspector: InspectorName = Field(description="the inspector whose score decides whether it acts")
    aligner: AlignerSpec = Field(description="the aligner that rewrites")
    threshold: float | None = Field(None, ge=0, le=1, description="instead of the squad's")


class SquadFields(CorrectorSpec):
    """The fields of a squad (Ngweta et al. 2024, 4.1 and 3.2); ``squad.SquadSpec`` applies them.

    ``order``: ``batch`` is the published algorithm, ``dataset`` uses the suite as the batch, ``per_sample``
    orders each answer's members by its own scores; ``loop`` is that of the paper's synthetic experiment.
    """

    members: dict[str, MemberSpec] = Field(
        min_length=1, description="aligners with their inspectors, by name"
    )
    threshold: float | None = Field(None, ge=0, le=1, description="0.5 by default, 0.9 in a loop")
    order: Literal["per_sample", "dataset", "batch", "loop"] = Field(
        "per_sample", description="what decides the order of the members: each answer, or many answers"
    )
    batch_size: int = Field(_BATCH_SIZE, ge=1, description="answers that share an order; only for batch")
    max_rounds: int = Field(1, ge=1, description="passes over all members while a score is too low")
    max_steps: int = Field(_MAX_STEPS, ge=1, description="applications to one answer; only for loop")
    accept: Literal["always", "if_own_score_improves", "if_min_score_improves"] = Field(
        "always", description="which rewrites are kept; a rejected one leaves the answer as it was"
    )

    def limit(self, name: str) -> float:
        """Return the score below which a member acts."""
        own = self.members[name].threshold
        common = self.threshold if self.threshold is not None else 0.9 if self.order == "loop" else 0.5
        return common if own is None else own

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(self.used("inspector")) < len(self.members):
            raise ValueError("two members share one inspector; each needs its own")
        if self.order != "batch" and self.batch_size != _BATCH_SIZE:
            raise ValueError(f"batch_size belongs to order: batch, not to order: {self.order}")
        if self.order != "loop" and self.max_steps != _MAX_STEPS:
            raise ValueError(f"max_steps belongs to order: loop, not to order: {self.order}")
        if self.order == "loop" and self.max_rounds != 1:
            raise ValueError("a loop has max_steps, not max_rounds")
        return self

    def work(self) -> Iterator[Work]:
        """Yield the work: a loop may give all steps to one model, a pass at most one to each member."""
        steps = self.max_steps if self.order == "loop" else len(self.members) * self.max_rounds
        for inspector in sorted(self.used("inspector")):
            yield Work("score", inspector, 1 + steps, True)
        shares = Counter(member.aligner.model for member in self.members.values())
        for model, members in shares.items():
            yield Work("complete", model, steps if self.order == "loop" else members * self.max_rounds, True)

    def reads_whole_suites(self) -> bool:
        """Return whether the order comes from many answers, as the published one does."""
        return self.order in ("batch", "dataset")
