"""The base of judges that are a rule: no model is asked, and the order of the answers means nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Pair, Services, Verdict
from aligner_bench.judges.base import Judge, JudgeContext, JudgeSpec, identical_tie


class RuleJudgeSpec(JudgeSpec):
    """Judge by a rule; the spec is the judge itself. A subclass declares options and a ``preference``.

    All options belong to the identity, and so does ``version``: raise it when the rule changes.
    """

    version: ClassVar[int] = 1
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")

    def preference(self, pair: Pair) -> float:
        """The candidate's preference, 0 (loss) to 1 (win), 0.5 for a tie. Texts that differ only."""
        raise TypeError(f"{type(self).__name__} does not implement preference")

    def make(self, context: JudgeContext) -> Judge:
        """The spec itself."""
        return self

    @property
    def description(self) -> str:
        """The kind and its options."""
        said = ", ".join(f"{name} {value}" for name, value in self._options().items())
        return f"{self.kind} ({said})" if said else self.kind

    def identity(self, services: Services) -> dict[str, Any]:
        """Kind, version and options."""
        return {"kind": self.kind, "version": self.version, **self._options()}

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """One verdict a pair. UsageError for a preference outside [0, 1]."""
        return [[self._verdict(pair)] for pair in pairs]

    def _options(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"kind", "suites", "audit_pairs"})

    def _verdict(self, pair: Pair) -> Verdict:
        if pair.candidate == pair.baseline:
            return identical_tie(order_free=True)[0]
        value = float(self.preference(pair))
        if not 0 <= value <= 1:
            raise UsageError(
                f"judge kind {self.kind}: preference {value} for prompt {pair.prompt_id!r}; expected 0 to 1"
            )
        return Verdict("none", "tie" if value == 0.5 else "ok", value, f"preference {value:g}")
