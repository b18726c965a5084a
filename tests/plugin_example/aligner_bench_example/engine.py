"""Answer additions by calculation, with errors at a given rate."""

import random
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Completion, Request
from aligner_bench.engines.base import Engine, ModelSpec


class CalculatorModel(ModelSpec):
    """Answer ``a + b`` in a sentence; a share of the answers, drawn by prompt, seed and sample, is wrong."""

    holds_weights: ClassVar[bool] = False
    has_model: ClassVar[bool] = False

    error_rate: float = Field(0.0, ge=0, le=1, description="probability that an answer is off by one")
    opening: str = Field("", description="text before every answer")

    def make(self) -> Engine:
        """The engine; there is nothing to load."""
        return Calculator(self)

    def stand_in(self) -> ModelSpec:
        """Itself: it costs nothing."""
        return self


class Calculator:
    """The engine behind ``CalculatorModel``."""

    def __init__(self, spec: CalculatorModel) -> None:
        self._spec = spec

    def identity(self) -> dict[str, Any]:
        """Everything that decides an answer: the rule's version and the options."""
        spec = self._spec
        return {"engine": spec.engine, "rule": 1, "error_rate": spec.error_rate, "opening": spec.opening}

    def load(self) -> None:
        """There are no weights."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests; a text without an addition is a row with an error."""
        return [self._answer(request) for request in requests]

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """It has no probabilities: UsageError."""
        raise UsageError(f"engine {self._spec.engine} gives no probabilities; use another engine for judges")

    def _answer(self, request: Request) -> Completion:
        text = request.prefix + request.answer + request.suffix
        found = re.search(r"(\d+) \+ (\d+)", text)
        if found is None:
            return Completion("", "error", error="no addition in the prompt")
        total = int(found[1]) + int(found[2])
        # Greedy answers have no sample and no seed, so that equal requests have equal answers.
        sampled = request.decoding.temperature > 0
        draw = random.Random(repr((text, request.seed, request.sample) if sampled else text))
        wrong = draw.random() < self._spec.error_rate
        return Completion(f"{self._spec.opening}The sum is {total + wrong}.", "stop")
