"""Systems, which answer prompts: an upstream model, with or without a corrector, and the A/A control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from aligner_bench.core.registry import Kind, Registry
from aligner_bench.core.spec import ModelName
from aligner_bench.core.types import Answer, Completion, Services
from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.base import CorrectorSpec, Work, correct
from aligner_bench.correctors.registry import SYSTEMS


class SystemSpec(Kind):
    """Answer prompts from samples of an upstream model.

    A subclass returns the samples it needs (``samples``) and makes answers from them (``answer``).
    """

    registry: ClassVar[Registry] = SYSTEMS
    draws_samples: ClassVar[bool] = True
    """Whether it needs samples that differ, and therefore a temperature above 0."""

    kind: str = Field(description="the kind of system")
    upstream: ModelName = Field(description="a model of this experiment")

    @property
    def corrects(self) -> CorrectorSpec | None:
        """The corrector that rewrites the upstream's answer; None without one."""
        return None

    @property
    def does_more(self) -> bool:
        """Whether it does more than return the upstream's answer."""
        return self.corrects is not None

    @property
    def shown_kind(self) -> str:
        """The kind that tables show: the corrector's, if there is one."""
        return self.corrects.kind if self.corrects is not None else self.kind

    def samples(self, seed: int) -> list[tuple[int, int]]:
        """Return (seed, sample index) of every upstream answer needed; equal ones are computed once."""
        return [(seed, 0)]

    def work(self) -> Iterator[Work]:
        """Yield the work per prompt, beyond the upstream's answers."""
        if self.corrects is not None:
            yield from self.corrects.work()

    def reads_whole_suites(self) -> bool:
        """Return whether an answer depends on others of its suite."""
        return self.corrects is not None and self.corrects.reads_whole_suites()

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """Return answers in the order of the items; each item holds the first of its samples."""
        raise TypeError(f"{type(self).__name__} does not implement answer")


class UpstreamSystem(SystemSpec):
    """An upstream model, with or without a corrector."""

    draws_samples: ClassVar[bool] = False

    kind: str = Field("upstream", description="the kind of system")
    corrector: CorrectorSpec | None = Field(None, description="what rewrites the upstream's answer")

    @property
    def corrects(self) -> CorrectorSpec | None:
        """The corrector of the experiment file."""
        return self.corrector

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """Return the upstream's answers, corrected if there is a corrector."""
        if self.corrector is None:
            return [item.answer for item in items]
        return correct(self.corrector, items, services)


class ResampleSystem(SystemSpec):
    """The upstream sampled again with another seed: the A/A control."""

    seed: int = Field(1, description="added to the seed of the experiment")

    def samples(self, seed: int) -> list[tuple[int, int]]:
        """Return one sample, with the experiment's seed plus this system's."""
        return [(seed + self.seed, 0)]

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """Return the sample unchanged."""
        return [item.answer for item in items]
