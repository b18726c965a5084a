"""Best of n: inspectors choose among several samples of one upstream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from aligner_bench.core.spec import InspectorName
from aligner_bench.core.types import Answer, Completion, Services
from aligner_bench.correctors.answers import Item, sampled
from aligner_bench.correctors.base import Work
from aligner_bench.correctors.system import SystemSpec


class BestOfNSystem(SystemSpec):
    """Answer with the upstream sample that has the highest mean inspector score."""

    n: int = Field(4, ge=2, description="samples of one prompt")
    inspectors: tuple[InspectorName, ...] = Field(
        min_length=1, description="the sample with the highest mean of their scores answers"
    )

    @property
    def does_more(self) -> bool:
        """Whether it does more than the upstream; true, it scores and picks."""
        return True

    def samples(self, seed: int) -> list[tuple[int, int]]:
        """Return n samples of one seed."""
        return [(seed, k) for k in range(self.n)]

    def work(self) -> Iterator[Work]:
        """Yield one score of each sample per inspector."""
        for inspector in self.inspectors:
            yield Work("score", inspector, self.n, False)

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """Return the best sample of each prompt."""
        return pick_best([item.prompt for item in items], samples, self.inspectors, services)


def pick_best(
    prompts: Sequence[str],
    samples: Sequence[Sequence[Completion]],
    inspectors: Sequence[str],
    services: Services,
) -> list[Answer]:
    """Return for each prompt the sample with the highest mean inspector score; ties keep the first.

    ``samples`` has n completions per prompt. Samples with status error cannot win; where all failed, the
    answer is an error.
    """
    pairs = [(prompt, s.text) for prompt, row in zip(prompts, samples, strict=True) for s in row]
    by_inspector = {name: services.score(name, pairs) for name in inspectors}
    answers, place = [], 0
    for row in samples:
        scored = [
            {name: values[place + k].value for name, values in by_inspector.items()} for k in range(len(row))
        ]
        place += len(row)
        answers.append(_best(row, scored))
    return answers


def _best(row: Sequence[Completion], scores: Sequence[dict[str, float]]) -> Answer:
    def mean(k: int) -> float:
        return -1.0 if row[k].status == "error" else sum(scores[k].values()) / len(scores[k])

    best = max(range(len(row)), key=mean)
    return sampled(row, best, scores)
