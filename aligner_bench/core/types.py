"""The values that travel between rooms: requests, completions, verdicts, traces, and the services."""

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
"""In the detail of a verdict on texts that were too long for the judge; such verdicts are counted."""


class Decoding(Spec):
    """How tokens are chosen; one profile for all systems unless the experiment says otherwise."""

    max_new_tokens: int = Field(256, ge=1, description="most new tokens in one answer")
    temperature: float = Field(0.0, ge=0.0, description="0 is greedy")
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, description="sample from the likeliest tokens of this total probability"
    )
    top_k: int = Field(0, ge=0, description="0 means no limit")
    stop: tuple[str, ...] = Field((), description="strings that end an answer; they are not part of it")
    stop_after: tuple[str, ...] = Field((), description="strings that end an answer and are its last part")
    repetition_penalty: float = Field(
        1.0, gt=0.0, description="divides the logits of tokens seen before (CTRL, as transformers has it)"
    )

    @model_serializer(mode="wrap")
    def _lean(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Later fields only where they are used: the ledger's keys of older items stay what they were."""
        data: dict[str, Any] = dump(self)
        later: dict[str, tuple[Any, ...]] = {"stop_after": ([], ()), "repetition_penalty": (1.0,)}
        return {name: value for name, value in data.items() if value not in later.get(name, ())}


@dataclass(frozen=True, slots=True)
class Request:
    """One text to be completed: ``prefix + answer + suffix``.

    Only ``answer`` may be shortened, at its end, when the whole does not fit the model's context.
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
    item: str = ""  # the prompt_id, by which recorded outputs are found; live models do not see it
    top_logprobs: int = 0  # how many log-probabilities to return for each new token
    extra: str = ""  # further fields of a server's request body, as JSON (tools, for one)

    def key_fields(self) -> dict[str, Any]:
        """Everything that decides the completion, for the ledger's key. Greedy decoding has no seed."""
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
    """What an engine returned for one request.

    ``seconds`` is the item's share of its batch's wall time. ``logprobs`` has, for each new token, the most
    probable tokens and their log-probabilities, where the request asked for them. ``cost`` is in US dollars,
    by the experiment's prices; the ledger does not keep it.
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
        """A row's status: an error, an empty answer, one that hit its token limit, or a whole one."""
        if self.finish_reason == "error":
            return "error"
        if not self.text.strip():
            return "empty"
        return "truncated" if self.finish_reason == "length" else "ok"


@dataclass(frozen=True, slots=True)
class Score:
    """An inspector's score of (prompt, answer), in [0, 1]; ``cut_tokens`` did not fit its context."""

    value: float
    cut_tokens: int = 0


class Chosen(dict[str, float]):
    """Probability of each choice. ``cost`` is what asking took in US dollars, estimated from the request:
    the probabilities come without a count of tokens.
    """

    cost: float = 0.0

    @classmethod
    def of(cls, probabilities: Mapping[str, float], cost: float) -> Chosen:
        """The probabilities with their cost."""
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
    """A pair ranker's logit: above 0 the first answer is preferred; ``cut_tokens`` did not fit."""

    value: float
    cut_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a corrector's trace: who acted or skipped, and all inspector scores after it.

    ``text`` is the answer after the step: for ``reject`` that is the answer from before it, and what was
    rejected is in ``offered``. A ``candidate`` only stands for choice; ``pick`` names the chosen one.
    ``inspector`` is the one on whose score the actor acts if that is below ``threshold``; ``order`` and
    ``batch`` are a squad's order of members and the batch whose scores made it.
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

    def packed(self) -> dict[str, Any]:
        """Plain data for the trace column; what a step does not have is left out."""
        plain = {"step": self.step, "actor": self.actor, "action": self.action, "text": self.text}
        more = {
            "order": list(self.order),
            "batch": self.batch,
            "inspector": self.inspector,
            "threshold": self.threshold,
            "offered": self.offered,
            "offered_scores": dict(self.offered_scores),
        }
        held = {name: value for name, value in more.items() if value not in ([], "", None, {})}
        return {**plain, "scores": dict(self.scores), **held}


@dataclass(frozen=True, slots=True)
class Answer:
    """A system's answer to one prompt, with what it cost and how it came about."""

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
    ``preference`` is in [0, 1] for the candidate, None where the status says that there is none.
    ``detail`` is what the judge said or computed, for people to read. Calls, tokens and cost (US dollars) are
    those that this verdict took.
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
    """Gives the logit of a pair in the order in which it is written."""

    def logits(self, pairs: Sequence[PairText]) -> list[PairLogit]:
        """Logits of the pairs, in their order; above 0 the first answer is preferred."""


class Ranker(Protocol):
    """A pair ranker before it is loaded."""

    @property
    def model(self) -> str:
        """Its name, for people."""

    @property
    def batch_size(self) -> int:
        """Most pairs of one batch."""

    def identity(self) -> dict[str, Any]:
        """What decides the logits."""

    def size(self) -> int:
        """Bytes of the weights in memory."""

    def load(self) -> PairEngine:
        """The ranker with its weights loaded."""


class Services(Protocol):
    """What correctors and judges may ask for; every answer comes from the ledger or goes into it."""

    def complete(self, model: str, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests."""

    def score(self, inspector: str, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """Scores of (prompt, answer) pairs, in their order."""

    def choose(
        self, model: str, requests: Sequence[Request], choices: Sequence[str]
    ) -> list[dict[str, float]]:
        """Probability of each choice as the next token, in the order of the requests."""

    def rank(self, ranker: Ranker, pairs: Sequence[PairText]) -> list[PairLogit]:
        """Logits of a pair ranker, in the order of the pairs, which are read as they stand."""

    def identity(self, name: str) -> dict[str, Any]:
        """What defines a model or inspector: engine, weights, precision."""
