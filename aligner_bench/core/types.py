"""The values that rooms exchange (requests, completions, verdicts, traces) and the services protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from aligner_bench.core.spec import Spec

ResponseStatus = Literal["ok", "empty", "truncated", "error"]
VerdictStatus = Literal["ok", "tie", "refused", "unparsable", "truncated", "error", "missing"]
Action = Literal["start", "correct", "skip", "reject", "candidate", "pick", "copy"]
FinishReason = Literal["stop", "length", "stop_string", "refusal", "replay", "error"]
IDENTICAL = "identical texts"
CUT = "cut to fit"
"""Part of the detail of a verdict on texts truncated for the judge; such verdicts are counted."""


class Decoding(Spec):
    """Decoding parameters; one profile for all systems unless the experiment overrides it."""

    max_new_tokens: int = Field(256, ge=1, description="maximum number of new tokens per answer")
    temperature: float = Field(0.0, ge=0.0, description="sampling temperature; 0 is greedy")
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, description="nucleus sampling: total probability of the tokens to sample from"
    )
    top_k: int = Field(0, ge=0, description="top-k sampling; 0 means no limit")
    stop: tuple[str, ...] = Field((), description="stop strings, excluded from the answer")
    stop_after: tuple[str, ...] = Field((), description="stop strings, included at the end of the answer")
    repetition_penalty: float = Field(
        1.0, gt=0.0, description="repetition penalty (Keskar et al. 2019, as implemented in transformers)"
    )
    special_tokens: Literal["skip", "keep"] = Field(
        "skip", description="whether to keep generated special tokens in the text"
    )

    @model_serializer(mode="wrap")
    def _omit_added_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit the defaults of fields added after version 0.1, so that existing ledger keys stay valid."""
        data: dict[str, Any] = dump(self)
        defaults: dict[str, tuple[Any, ...]] = {
            "stop_after": ([], ()),
            "repetition_penalty": (1.0,),
            "special_tokens": ("skip",),
        }
        return {name: value for name, value in data.items() if value not in defaults.get(name, ())}


@dataclass(frozen=True, slots=True)
class Request:
    """One text to be completed: ``prefix + answer + suffix``.

    If the whole exceeds the model's context, only ``answer`` is truncated, at its end.
    ``chat`` wraps the text as a user turn in the model's chat template, after ``history``.
    """

    prefix: str
    answer: str = ""
    suffix: str = ""
    history: tuple[tuple[str, str], ...] = ()
    chat: bool = True
    decoding: Decoding = field(default_factory=Decoding)
    sample: int = 0
    seed: int = 0
    item: str = ""  # the prompt_id, for looking up recorded outputs; not sent to models
    top_logprobs: int = 0  # number of log-probabilities to return for each new token
    extra: str = ""  # additional fields of a server's request body, as JSON (for example tools)

    def key_fields(self) -> dict[str, Any]:
        """Return everything that determines the completion; greedy decoding has no sample and no seed."""
        sampled = self.decoding.temperature > 0
        asked = {"top_logprobs": self.top_logprobs, "extra": self.extra}
        return {
            **{name: value for name, value in asked.items() if value},
            "prefix": self.prefix,
            "answer": self.answer,
            "suffix": self.suffix,
            "history": [list(turn) for turn in self.history],
            "chat": self.chat,
            "decoding": self.decoding.model_dump(mode="json"),
            "sample": self.sample if sampled else 0,
            "seed": self.seed if sampled else 0,
        }


@dataclass(frozen=True, slots=True)
class Completion:
    """An engine's result for one request.

    ``seconds`` is the item's share of its batch's wall time. ``logprobs`` holds, for each new token, the most
    probable tokens and their log-probabilities, if requested. ``cost`` is in US dollars, computed from the
    experiment's prices; the ledger does not store it.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut_tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    logprobs: tuple[Mapping[str, float], ...] = ()
    cost: float = 0.0

    @property
    def status(self) -> ResponseStatus:
        """Status of the answer: error, empty, truncated (token limit reached) or ok."""
        if self.finish_reason == "error":
            return "error"
        if not self.text.strip():
            return "empty"
        return "truncated" if self.finish_reason == "length" else "ok"


@dataclass(frozen=True, slots=True)
class Score:
    """An inspector's score of (prompt, answer), in [0, 1]; ``cut_tokens`` tokens were truncated."""

    value: float
    cut_tokens: int = 0


class Chosen(dict[str, float]):
    """Probability of each choice. ``cost`` is in US dollars, estimated from the request because servers
    return the probabilities without token counts.
    """

    cost: float = 0.0

    @classmethod
    def of(cls, probabilities: Mapping[str, float], cost: float) -> Chosen:
        """Return the probabilities with their cost in US dollars."""
        chosen = cls(probabilities)
        chosen.cost = cost
        return chosen


class PairText(NamedTuple):
    """A prompt and two answers, in the order in which a pair ranker reads them."""

    prompt: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class PairLogit:
    """A pair ranker's logit: above 0 the first answer is preferred; ``cut_tokens`` tokens were truncated."""

    value: float
    cut_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a corrector's trace: the actor, its action and all inspector scores after it.

    ``text`` is the answer after the step; after ``reject`` it is the previous answer, and ``offered`` holds
    the rejected one. A ``candidate`` step offers an answer to choose from; ``pick`` is the chosen one.
    The actor acts if the score of ``inspector`` is below ``threshold``. ``order`` and ``batch`` are a squad's
    order of members and the digest of the batch whose scores determined it.
    """

    step: int
    actor: str
    action: Action
    text: str
    scores: Mapping[str, float] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    batch: str = ""
    inspector: str = ""
    threshold: float | None = None
    offered: str | None = None
    offered_scores: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the trace column, without empty fields."""
        required = {"step": self.step, "actor": self.actor, "action": self.action, "text": self.text}
        optional = {
            "order": list(self.order),
            "batch": self.batch,
            "inspector": self.inspector,
            "threshold": self.threshold,
            "offered": self.offered,
            "offered_scores": dict(self.offered_scores),
        }
        present = {name: value for name, value in optional.items() if value not in ([], "", None, {})}
        return {**required, "scores": dict(self.scores), **present}


@dataclass(frozen=True, slots=True)
class Answer:
    """A system's answer to one prompt, with its cost (US dollars) and its trace."""

    text: str
    status: ResponseStatus
    finish_reason: FinishReason
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut_tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    trace: tuple[Step, ...] = ()
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt: the candidate's and the baseline's."""

    prompt_id: str
    prompt: str
    candidate: str
    baseline: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judged pair in one order.

    ``order`` is ``candidate_first``, ``baseline_first``, ``none`` for a judge that has no order, or
    ``unknown`` where it was not recorded.
    ``preference`` is in [0, 1] for the candidate; None if the status is neither ``ok`` nor ``tie``.
    ``detail`` is an excerpt of the judge's reply or computation, for display. Calls, tokens and cost (US
    dollars) are those of this verdict.
    """

    order: Literal["candidate_first", "baseline_first", "none", "unknown"]
    status: VerdictStatus
    preference: float | None
    detail: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class PairEngine(Protocol):
    """A loaded pair ranker: computes one logit per ordered pair."""

    def logits(self, pairs: Sequence[PairText]) -> list[PairLogit]:
        """Return the logits of the pairs, in their order; above 0 the first answer is preferred."""


class Ranker(Protocol):
    """A pair ranker that is not loaded yet."""

    @property
    def model(self) -> str:
        """Display name of the model."""

    @property
    def batch_size(self) -> int:
        """Maximum number of pairs per batch."""

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the logits."""

    def size(self) -> int:
        """Return the size of the weights in memory, in bytes."""

    def load(self) -> PairEngine:
        """Load the weights and return the ranker."""


class Services(Protocol):
    """The model calls of correctors and judges; every result is read from the ledger or added to it."""

    def complete(self, model: str, requests: Sequence[Request]) -> list[Completion]:
        """Return completions in the order of the requests."""

    def score(self, inspector: str, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """Return the scores of (prompt, answer) pairs, in their order."""

    def choose(
        self, model: str, requests: Sequence[Request], choices: Sequence[str]
    ) -> list[dict[str, float]]:
        """Return the probability of each choice as the next token, in the order of the requests."""

    def rank(self, ranker: Ranker, pairs: Sequence[PairText]) -> list[PairLogit]:
        """Return the logits of a pair ranker, in the order of the pairs; pairs are not swapped."""

    def identity(self, name: str) -> dict[str, Any]:
        """Return the identity of a model or inspector: engine, weights, precision."""
