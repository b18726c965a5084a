"""The ``inspector`` judge: compares the mean inspector scores of two answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from aligner_bench.core.spec import InspectorName
from aligner_bench.core.types import Pair, Services, Verdict
from aligner_bench.judges.base import Judge, JudgeContext, JudgeSpec, identical_tie


class InspectorJudge:
    """Scores each answer by itself, so there is no order; equal means tie."""

    needs_references = False
    audit_pairs = 24

    def __init__(self, spec: InspectorJudgeSpec) -> None:
        self._names = spec.inspectors
        self.description = "higher mean score of the inspectors " + ", ".join(self._names)

    def identity(self, services: Services) -> dict[str, Any]:
        """Return the identities of its inspectors."""
        return {"kind": "inspector", "version": 1, "inspectors": [services.identity(n) for n in self._names]}

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return one verdict per pair, with both scores in its detail."""
        new = self._means([(pair.prompt, pair.candidate) for pair in pairs], services)
        old = self._means([(pair.prompt, pair.baseline) for pair in pairs], services)
        return [
            identical_tie(order_free=True) if pair.candidate == pair.baseline else [_verdict(a, b)]
            for pair, a, b in zip(pairs, new, old, strict=True)
        ]

    def _means(self, pairs: Sequence[tuple[str, str]], services: Services) -> list[float]:
        by_inspector = [services.score(name, pairs) for name in self._names]
        return [sum(s.value for s in scores) / len(scores) for scores in zip(*by_inspector, strict=True)]


def _verdict(new: float, old: float) -> Verdict:
    preference = 0.5 if new == old else float(new > old)
    return Verdict("none", "tie" if new == old else "ok", preference, f"scores {new:.3f} and {old:.3f}")


class InspectorJudgeSpec(JudgeSpec):
    """Prefer the answer with the higher mean inspector score."""

    inspectors: tuple[InspectorName, ...] = Field(
        min_length=1, description="the answer with the higher mean of their scores wins"
    )

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge."""
        return InspectorJudge(self)
