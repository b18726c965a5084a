"""The ``reference`` judge: an answer with an accepted reference beats one without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aligner_bench.core.types import Pair, Services, Verdict
from aligner_bench.judges.base import Judge, JudgeContext, JudgeSpec, identical_tie
from aligner_bench.texts.match import matches


class ReferenceJudge:
    """Correct beats incorrect; equal correctness ties. It has no order and needs no audit."""

    description = "normalised match against the suite's reference answers"
    audit_pairs = 0
    needs_references = True

    def identity(self, services: Services) -> dict[str, Any]:
        """Return the rule's name and version."""
        return {"kind": "reference", "rule": "normalised run of tokens", "version": 1}

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return one verdict per pair; status missing where the prompt has no reference."""
        return [[self._verdict(pair)] for pair in pairs]

    @staticmethod
    def _verdict(pair: Pair) -> Verdict:
        if not pair.references:
            return Verdict("none", "missing", None, "the prompt has no reference answer")
        if pair.candidate == pair.baseline:
            return identical_tie(order_free=True)[0]
        new, old = (matches(text, pair.references) for text in (pair.candidate, pair.baseline))
        words = f"candidate {'right' if new else 'wrong'}, baseline {'right' if old else 'wrong'}"
        return Verdict("none", "tie" if new == old else "ok", 0.5 + 0.5 * (int(new) - int(old)), words)


class ReferenceSpec(JudgeSpec):
    """Compare correctness by the suite's reference answers, without a model."""

    needs_references: ClassVar[bool] = True
    no_pick: ClassVar[str] = "it knows the right answers"

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge."""
        return ReferenceJudge()
