"""The ``alpaca_eval`` judge: an annotator of AlpacaEval, called through this package's engines.

AlpacaEval calls the reference's answer ``output_1`` and the evaluated model's ``output_2``, shows them in
one order, drawn by the instruction, and stores a preference from 1 to 2 for the second. Here the candidate
is ``output_2``, the baseline ``output_1``, and preferences are for the candidate, from 0 to 1. Both orders
are judged unless ``order: alpaca_eval`` requests AlpacaEval's own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.spec import ModelName
from aligner_bench.core.types import Completion, Pair, Request
from aligner_bench.engines.base import ModelSpec
from aligner_bench.judges.alpaca_eval.annotators import Annotator, load_annotator
from aligner_bench.judges.alpaca_eval.parsers import TIE, NoAnnotationError, preference
from aligner_bench.judges.base import Fault, Judge, JudgeContext, JudgeSpec
from aligner_bench.judges.prompted import BOTH, Asking, Order, PromptedJudge, Reading, shown


class AlpacaEvalContract:
    """An annotator's prompt and parser."""

    def __init__(self, annotator: Annotator, order: Literal["both", "alpaca_eval"] = "both") -> None:
        self.annotator = annotator
        self._order = order

    def identity(self) -> dict[str, Any]:
        """Return the annotator's identity and the orders judged."""
        return {"order": self._order, **self.annotator.identity()}

    def orders(self, pair: Pair) -> tuple[Order, ...]:
        """Return both orders, or the one that AlpacaEval would show."""
        if self._order == "both":
            return BOTH
        switched = self.annotator.shuffled and is_switched(pair.prompt)
        return ("candidate_first",) if switched else ("baseline_first",)

    def request(self, pair: Pair, first: str, second: str) -> Request:
        """Return AlpacaEval's prompt, with the answer shown first as its output_1."""
        annotator = self.annotator
        *before, (_, last) = annotator.rendered(pair.prompt, first, second)
        return Request(
            last,
            history=tuple(before),
            decoding=annotator.decoding,
            top_logprobs=annotator.top_logprobs,
            extra=annotator.extra,
        )

    def read(self, completion: Completion) -> Reading:
        """Return AlpacaEval's preference, converted from 1 (first) to 2 (second) into 1 to 0."""
        said = shown(completion.text)
        try:
            found = preference(self.annotator.parser, completion)
        except NoAnnotationError as error:
            return Reading(None, "unparsable", f"{error}: {said}" if said else str(error))
        detail = f"{found:.6f} between 1 (first) and 2 (second)"
        return Reading(2 - found, "tie" if found == TIE else "ok", f"{detail}: {said}" if said else detail)


def is_switched(instruction: str, seed: int = 0) -> bool:
    """Return whether AlpacaEval shows the evaluated model's answer first (papers.md 7, vector 10)."""
    return random.Random(f"is_switched_outputs{instruction}{seed}").choices([False, True])[0]


class AlpacaEvalSpec(JudgeSpec):
    """An annotator of the installed alpaca-eval package: its prompt, its decoding, its parser."""

    swapped_at_smoke: ClassVar[bool] = True
    no_pick: ClassVar[str] = "an annotator brings a model that is not the experiment's"

    annotator: str = Field("weighted_alpaca_eval_gpt4_turbo", description="a folder of evaluators_configs")
    model: ModelName | None = Field(
        None, description="a model of this experiment; default: the annotator's own"
    )
    order: Literal["both", "alpaca_eval"] = Field(
        "both", description="alpaca_eval: one order per prompt, drawn as by AlpacaEval"
    )
    max_answer_chars: int | None = Field(None, ge=1, description="longer answers are cut, and counted")
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge, with a model of the experiment or the annotator's own."""
        annotator = load_annotator(self.annotator)
        name = self.model or next(iter(self.own_models()))
        models = context.models
        real = models[name].label if name in models else name
        same = real == annotator.model
        who = annotator.model if same else f"{real or name} in the place of {annotator.model}"
        orders = "both orders" if self.order == "both" else "one order a prompt, as AlpacaEval draws it"
        return PromptedJudge(
            AlpacaEvalContract(annotator, self.order),
            Asking("alpaca_eval", name, max_answer_chars=self.max_answer_chars),
            f"AlpacaEval annotator {annotator.name} with {who}, {orders}",
            self.audit_pairs,
        )

    def reads_probabilities(self) -> bool:
        """Return whether the annotator's parser reads log-probabilities."""
        return load_annotator(self.annotator).top_logprobs > 0

    def own_models(self) -> dict[str, ModelSpec]:
        """Return the annotator's own model, if it is one of OpenAI's API. Raises UsageError otherwise."""
        if self.model is not None:
            return {}
        annotator = load_annotator(self.annotator)
        if annotator.problem:
            raise UsageError(
                f"annotator {self.annotator}: its model {annotator.model} {annotator.problem}, "
                "which is not supported; name a model of this experiment with model:"
            )
        own = {"engine": "openai", "model": annotator.model, "chat": annotator.chat}
        return {annotator.model: ModelSpec.model_validate(own)}

    def fault(self, name: str, judges: Mapping[str, JudgeSpec]) -> Fault | None:
        """Return the problem of an unknown or unusable annotator."""
        found = super().fault(name, judges)
        return found._replace(field="annotator") if found else None

    def stand_in(self, model: str, names: Mapping[str, str]) -> Self:
        """Return the annotator over the experiment's own stand-in model."""
        return self if self.model is not None else self.model_copy(update={"model": model})
