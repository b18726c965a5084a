"""Counts of a model's calls, for the run's manifest."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aligner_bench.core.types import Completion
from aligner_bench.engines.faults import Fault


class CallCounts:
    """Counts of one process: ``tries`` requests were sent for ``calls`` items."""

    def __init__(self) -> None:
        self.calls = self.tries = self.refusals = self.batches = 0
        self.retries: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.unusable = (0, 0)

    def count_unusable(self, tokens: tuple[int, int]) -> None:
        """Count a reply that could not be used and the tokens (in, out) that it reports."""
        self.unusable = (self.unusable[0] + tokens[0], self.unusable[1] + tokens[1])

    def count(self, done: Completion) -> Fault | None:
        """Count how an item ended; return the kind of its failure, if it failed."""
        if done.error is None:
            self.refusals += done.finish_reason == "refusal"
            return None
        fault = Fault(done.error.partition(":")[0])
        self.failures[fault.value] += 1
        return fault

    def facts(self) -> dict[str, Any]:
        """Return the counts as plain data, with retries and failures by kind."""
        return {
            "calls": self.calls,
            "tries": self.tries,
            "retries": dict(sorted(self.retries.items())),
            "failures": dict(sorted(self.failures.items())),
            "refusals": self.refusals,
            **({"tokens_of_unusable_replies": list(self.unusable)} if any(self.unusable) else {}),
            **({"batches": self.batches} if self.batches else {}),
        }
