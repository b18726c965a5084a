"""Leave every answer unchanged: a calibration check of the harness."""

from __future__ import annotations

from collections.abc import Sequence

from aligner_bench.core.types import Answer, Services, Step
from aligner_bench.correctors.answers import Item, noted
from aligner_bench.correctors.base import CorrectorSpec


class IdentitySpec(CorrectorSpec):
    """Leave every answer unchanged; every comparison with the upstream must be a tie."""

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return the answers, each with a ``copy`` step."""
        return [_copied(item.answer) for item in items]


def _copied(answer: Answer) -> Answer:
    return noted(answer, Step(0, "identity", "copy", answer.text, answer.trace[-1].scores))
