"""What an experiment file says of judges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

TINY_RANKER = "tiny-pair-ranker"
"""The model name of the pair ranker that stands in for a real one; see judges/tiny_ranker.py."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    suites: tuple[str, ...] = Field((), description="judge only these suites; empty: all it can judge")


class ReferenceSpec(_Spec):
    """Right or wrong by the suite's reference answers; no model."""

    kind: Literal["reference"]


class InspectorJudgeSpec(_Spec):
    """The answer with the higher mean inspector score wins."""

    kind: Literal["inspector"]
    inspectors: tuple[str, ...] = Field(min_length=1)


class LogprobSpec(_Spec):
    """A model asked which answer is better, read from the probabilities of one letter, in both orders."""

    kind: Literal["logprob"]
    model: str
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")


class PairRMSpec(_Spec):
    """A pair ranker in the format of llm-blender/PairRM or PairRM-hf, in both orders."""

    kind: Literal["pairrm"]
    model: str = Field("llm-blender/PairRM", description="hub name, local folder, or tiny-pair-ranker")
    revision: str | None = Field(None, description="hub revision")
    backend: Literal["native", "llm_blender"] = Field("native", description="ours, or the authors' package")
    truncation: Literal["fixed", "spare"] = Field(
        "fixed",
        description="fixed: 412 tokens an answer; spare: and half of what the prompt leaves of its 1224",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = Field(32, ge=1)
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")
    family: str | None = Field(None, description="for self-preference warnings")


class AlpacaEvalSpec(_Spec):
    """An annotator of the installed alpaca-eval package: its prompt, its decoding, its parser."""

    kind: Literal["alpaca_eval"]
    annotator: str = Field("weighted_alpaca_eval_gpt4_turbo", description="a folder of evaluators_configs")
    model: str | None = Field(
        None, description="a model of this experiment under the annotator; without it the annotator's own"
    )
    order: Literal["both", "alpaca_eval"] = Field(
        "both", description="alpaca_eval: one order a prompt, drawn as AlpacaEval draws it"
    )
    max_answer_chars: int | None = Field(None, ge=1, description="longer answers are cut, and counted")
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")


class RubricSpec(_Spec):
    """A model that reasons by a rubric and ends with a tag, in both orders."""

    kind: Literal["rubric"]
    rubric: str = Field(description="helpful, harmless, empathy, summary, reliability, or a YAML file")
    model: str = Field(description="a model of this experiment")
    repeats: int = Field(1, ge=1, description="samples an order; more than one needs a temperature above 0")
    temperature: float | None = Field(None, ge=0, description="instead of the rubric's own")
    max_new_tokens: int | None = Field(None, ge=1, description="instead of the rubric's own")
    max_answer_chars: int | None = Field(None, ge=1, description="longer answers are cut, and counted")
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")


class EnsembleSpec(_Spec):
    """Several judges of the experiment as one."""

    kind: Literal["ensemble"]
    judges: tuple[str, ...] = Field(min_length=2, description="its members, judges of this experiment")
    rule: Literal["majority", "mean"] = Field(
        "majority", description="majority: more than half of the members, else a tie; mean of preferences"
    )


class ReplayJudgeSpec(_Spec):
    """Recorded verdicts. Its name must begin with ``recorded``: it is not the judge that it repeats."""

    kind: Literal["replay"]
    path: Path = Field(description="a run folder, its verdicts.parquet, or AlpacaEval's annotations.json")
    judge: str | None = Field(None, description="the recorded judge, where there are several")


JudgeSpec = Annotated[
    ReferenceSpec
    | InspectorJudgeSpec
    | LogprobSpec
    | PairRMSpec
    | AlpacaEvalSpec
    | RubricSpec
    | EnsembleSpec
    | ReplayJudgeSpec,
    Field(discriminator="kind"),
]
