"""What is counted of a model's calls, for the run's manifest."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aligner_bench.core.types import Completion
from aligner_bench.engines.faults import Fault


class Tally:
    """Counts of one process. ``tries`` is how often something was sent, for ``calls`` items."""

    def __init__(self) -> None:
        self.calls = self.tries = self.refusals = self.batches = 0
        self.retries: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.spoiled = (0, 0)

    def spoil(self, tokens: tuple[int, int]) -> None:
        """A reply that could not be used says that it took so many tokens, in and out."""
        self.spoiled = (self.spoiled[0] + tokens[0], self.spoiled[1] + tokens[1])

    def count(self, done: Completion) -> Fault | None:
        """Count how an item ended; the kind of its failure, if it is one."""
        if done.error is None:
            self.refusals += done.finish_reason == "refusal"
            return None
        fault = Fault(done.error.partition(":")[0])
        self.failures[fault.value] += 1
        return fault

    def facts(self) -> dict[str, Any]:
        """Plain data; retries and failures by kind."""
        return {
            "calls": self.calls,
            "tries": self.tries,
            "retries": dict(sorted(self.retries.items())),
            "failures": dict(sorted(self.failures.items())),
            "refusals": self.refusals,
            **({"tokens_of_unusable_replies": list(self.spoiled)} if any(self.spoiled) else {}),
            **({"batches": self.batches} if self.batches else {}),
        }
