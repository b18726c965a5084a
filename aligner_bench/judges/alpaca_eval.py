"""The ``alpaca_eval`` judge: an annotator of AlpacaEval through our own client.

AlpacaEval calls the reference's answer ``output_1`` and the evaluated model's ``output_2``, shows them in one
order, drawn by the instruction, and stores a preference from 1 to 2 for the second. Here the candidate is
``output_2``, the baseline ``output_1``, and preferences are for the candidate, from 0 to 1. Both orders are
asked unless ``order: alpaca_eval`` wants AlpacaEval's own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Literal

from aligner_bench.engines.base import ModelSpec
from aligner_bench.errors import UsageError
from aligner_bench.judges.alpaca_eval_configs import Annotator, load_annotator
from aligner_bench.judges.alpaca_eval_parsers import TIE, NoAnnotationError, preference
from aligner_bench.judges.prompted import BOTH, Asking, Order, PromptedJudge, Reading, shown
from aligner_bench.judges.specs import AlpacaEvalSpec
from aligner_bench.types import Completion, Pair, Request


class AlpacaEvalContract:
    """One annotator's prompt and parser."""

    def __init__(self, annotator: Annotator, order: Literal["both", "alpaca_eval"] = "both") -> None:
        self.annotator = annotator
        self._order = order

    def identity(self) -> dict[str, Any]:
        """The annotator as it was read, and the orders that are asked."""
        return {"order": self._order, **self.annotator.identity()}

    def orders(self, pair: Pair) -> tuple[Order, ...]:
        """Both, or the one that AlpacaEval would show."""
        if self._order == "both":
            return BOTH
        switched = self.annotator.shuffled and is_switched(pair.prompt)
        return ("candidate_first",) if switched else ("baseline_first",)

    def request(self, pair: Pair, first: str, second: str) -> Request:
        """AlpacaEval's prompt, with the answer shown first as its output_1."""
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
        """AlpacaEval's preference, from 1 for the first to 2 for the second, turned around to 1 to 0."""
        said = shown(completion.text)
        try:
            found = preference(self.annotator.parser, completion)
        except NoAnnotationError as error:
            return Reading(None, "unparsable", f"{error}: {said}" if said else str(error))
        detail = f"{found:.6f} between 1 (first) and 2 (second)"
        return Reading(2 - found, "tie" if found == TIE else "ok", f"{detail}: {said}" if said else detail)


def is_switched(instruction: str, seed: int = 0) -> bool:
    """Does AlpacaEval show the evaluated model's answer first? (papers.md 7, golden vector 10.)"""
    return random.Random(f"is_switched_outputs{instruction}{seed}").choices([False, True])[0]


def own_model(spec: AlpacaEvalSpec) -> tuple[str, ModelSpec]:
    """The annotator's own model, as a model of OpenAI's API. UsageError where it is none of theirs."""
    annotator = load_annotator(spec.annotator)
    if annotator.problem:
        raise UsageError(
            f"annotator {spec.annotator}: its model {annotator.model} {annotator.problem}, not here: "
            "put a model of this experiment under it with model:"
        )
    return annotator.model, ModelSpec(engine="openai", model=annotator.model, chat=annotator.chat)


def alpaca_eval_judge(spec: AlpacaEvalSpec, models: Mapping[str, ModelSpec]) -> PromptedJudge:
    """The judge, with a model of the experiment (one of ``models``) or the annotator's own."""
    annotator = load_annotator(spec.annotator)
    name = spec.model or own_model(spec)[0]
    real = models[name].model if name in models else name
    who = annotator.model if real == annotator.model else f"{real or name} in the place of {annotator.model}"
    orders = "both orders" if spec.order == "both" else "one order a prompt, as AlpacaEval draws it"
    return PromptedJudge(
        AlpacaEvalContract(annotator, spec.order),
        Asking("alpaca_eval", name, max_answer_chars=spec.max_answer_chars),
        f"AlpacaEval annotator {annotator.name} with {who}, {orders}",
        spec.audit_pairs,
    )
