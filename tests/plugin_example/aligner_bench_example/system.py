"""Answer with what most samples say."""

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from aligner_bench.core.types import Answer, Completion, Services
from aligner_bench.correctors.answers import Item, sampled
from aligner_bench.correctors.system import SystemSpec


class MajoritySystem(SystemSpec):
    """Several samples of the upstream; the most frequent text answers, the first of them on a tie."""

    n: int = Field(5, ge=2, description="samples of one prompt")

    @property
    def does_more(self) -> bool:
        """It picks among its samples."""
        return True

    def samples(self, seed: int) -> list[tuple[int, int]]:
        """n samples by one seed."""
        return [(seed, k) for k in range(self.n)]

    def answer(
        self, items: Sequence[Item], samples: Sequence[Sequence[Completion]], services: Services
    ) -> list[Answer]:
        """The most frequent text of each prompt, by exact match; failed samples do not count."""
        return [_majority(row) for row in samples]


def _majority(row: Sequence[Completion]) -> Answer:
    counts = Counter(sample.text for sample in row if sample.status != "error")
    winner = max(range(len(row)), key=lambda k: counts[row[k].text] if row[k].status != "error" else -1)
    return sampled(row, winner)
