"""Compare two answers by their length."""

from typing import Literal

from pydantic import Field

from aligner_bench.core.types import Pair
from aligner_bench.judges.rule import RuleJudgeSpec


class LengthSpec(RuleJudgeSpec):
    """Prefer the shorter or the longer answer; lengths within the tolerance tie."""

    prefer: Literal["shorter", "longer"] = Field("shorter", description="which answer wins")
    tolerance: float = Field(0.1, ge=0, lt=1, description="difference that ties, as a share of the longer")

    def preference(self, pair: Pair) -> float:
        """1 for the candidate, 0 for the baseline, 0.5 for a tie; lengths are in characters."""
        new, old = len(pair.candidate), len(pair.baseline)
        if abs(new - old) <= self.tolerance * max(new, old):
            return 0.5
        return float((new < old) == (self.prefer == "shorter"))
