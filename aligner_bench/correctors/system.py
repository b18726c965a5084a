"""Systems: what answers prompts. An upstream model, with or without a corrector, and the A/A control."""

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

    A subclass says which samples it needs (``samples``) and makes answers of them (``answer``).
    """

    registry: ClassVar[Registry] = SYSTEMS
    draws_samples: ClassVar[bool] = True
    """Does it need answers that differ, so that greedy decoding makes no sense?"""

    kind: str = Field(description="the kind of system")
    upstream: ModelName = Field(description="a model of this experiment")

    @property
    def corrects(self) -> CorrectorSpec | None:
        """The corrector that rewrites the upstream's answer, where the system is made that way."""
        return None

    @property
    def does_more(self) -> bool:
        """Does it do anything beyond the upstream's one answer?"""
        return self.corrects is not None

    @property
    def shown_kind(self) -> str:
        """The kind that tables show: the corrector's, where there is one."""
        return self.corrects.kind if self.corrects is not None else self.kind

    def samples(self, seed: int) -> list[tuple[int, int]]:
        """(seed, sample index) of every upstream answer that it needs. Equal ones are made once."""
        return [(seed, 0)]

    def work(self) -> Iterator[Work]:
        """Work for one prompt, beyond the upstream's answers."""
        if self.corrects is not None:
            yield from self.corrects.work()

    def reads_whole_suites(self) -> bool:
        """Does an answer depend on the others of its suite?"""
        return self.corrects is not None and self.corrects.reads_whole_suites()

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """Answers in the order of the items; each item holds the first of its samples as an answer."""
        raise TypeError(f"{type(self).__name__} does not implement answer")


class UpstreamSystem(SystemSpec):
    """An upstream model, with or without a corrector."""

    draws_samples: ClassVar[bool] = False

    kind: str = Field("upstream", description="the kind of system")
    corrector: CorrectorSpec | None = Field(None, description="what rewrites the upstream's answer")

    @property
    def corrects(self) -> CorrectorSpec | None:
        """The corrector of the file."""
        return self.corrector

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """The upstream's answers, corrected."""
        if self.corrector is None:
            return [item.answer for item in items]
        return correct(self.corrector, items, services)


class ResampleSystem(SystemSpec):
    """The upstream again with another seed: the A/A control."""

    seed: int = Field(1, description="added to the seed of the experiment")

    def samples(self, seed: int) -> list[tuple[int, int]]:
        """One answer, by the experiment's seed plus this system's."""
        return [(seed + self.seed, 0)]

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """The other answer as it is."""
        return [item.answer for item in items]
