"""The ``pairrm`` judge: a pair ranker (PairRM or a similar one) in both orders.

The preference of one order is the sigmoid of its logit. Their mean exceeds one half exactly where the mean
of the two logits exceeds zero, so wins and losses are those of LLM-Blender's ``compare`` in its default
mode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from aligner_bench.core.types import CUT, Pair, PairEngine, PairLogit, PairText, Services, Verdict
from aligner_bench.engines.memory import folder_parameters
from aligner_bench.judges.base import Judge, JudgeContext, identical_tie
from aligner_bench.judges.pairrm.checkpoint import check_name, find_checkpoint, ranker_identity
from aligner_bench.judges.pairrm.spec import TINY_RANKER, PairRMSpec

# Preferences are multiples of 2**-40, so that p + (1 - p) is 1 without rounding: opposite verdicts tie.
_GRID = 2.0**40


class PairRMJudge:
    """Judges every pair in both orders; equal texts are ties without a call."""

    needs_references = False

    def __init__(self, spec: PairRMJudgeSpec) -> None:
        self._spec = spec
        self.audit_pairs = spec.audit_pairs
        name = "a stand-in with random weights" if spec.model == TINY_RANKER else spec.model
        self.description = f"pair ranker ({name}), both orders"

    def identity(self, services: Services) -> dict[str, Any]:
        """Return weights, tokenizer, precision, code and truncation.

        Its kind is pairrm only for PairRM's shape.
        """
        checkpoint = find_checkpoint(self._spec.model, self._spec.revision)
        return {
            "kind": "pair ranker" if checkpoint.stand_in else "pairrm",
            "version": 1,
            "ranker": ranker_identity(self._spec),
        }

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return two verdicts per pair, with the logit and truncation in their detail."""
        asked = [pair for pair in pairs if pair.candidate != pair.baseline]
        texts = [PairText(p.prompt, p.candidate, p.baseline) for p in asked]
        texts += [PairText(p.prompt, p.baseline, p.candidate) for p in asked]
        logits = services.rank(self._spec, texts)
        judged = iter(zip(logits[: len(asked)], logits[len(asked) :], strict=True))
        return [
            identical_tie(order_free=False) if pair.candidate == pair.baseline else _both(*next(judged))
            for pair in pairs
        ]


def _both(forward: PairLogit, backward: PairLogit) -> list[Verdict]:
    return [_verdict("candidate_first", forward, 1), _verdict("baseline_first", backward, -1)]


def _verdict(order: Literal["candidate_first", "baseline_first"], logit: PairLogit, sign: int) -> Verdict:
    if not math.isfinite(logit.value):
        return Verdict(order, "error", None, f"logit {logit.value}")
    first = round(_GRID / (1 + math.exp(-max(-700.0, min(700.0, logit.value))))) / _GRID
    preference = first if sign > 0 else 1 - first
    detail = f"logit {logit.value:+.5f} for the first answer"
    if logit.cut_tokens:
        detail += f"; {logit.cut_tokens} tokens {CUT}"
    return Verdict(order, "tie" if preference == 0.5 else "ok", preference, detail)


class PairRMJudgeSpec(PairRMSpec):
    """Compare by a pair ranker in the format of llm-blender/PairRM or PairRM-hf, in both orders."""

    swapped_at_smoke: ClassVar[bool] = True

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge; weights are loaded at the first verdict."""
        return PairRMJudge(self)

    def check_weights(self, name: str) -> None:
        """Raise UsageError where the checkpoint is missing, or lacks PairRM's shape under PairRM's name."""
        check_name(name, self)

    def identity(self) -> dict[str, Any]:
        """Return what decides the logits."""
        return ranker_identity(self)

    def size(self) -> int:
        """Return the bytes of the weights in memory."""
        return 4 * folder_parameters(Path(self.model))

    def load(self) -> PairEngine:
        """Return the ranker with its weights loaded."""
        from aligner_bench.judges.pairrm.rankers import make_ranker

        return make_ranker(self)

    def stand_in(self, model: str, names: Mapping[str, str]) -> Self:
        """Return a tiny ranker with random weights."""
        nothing = dict.fromkeys(("revision", "family"))
        tiny = {"model": TINY_RANKER, "backend": "native", "dtype": "float32", **nothing}
        return self.model_copy(update=tiny)
