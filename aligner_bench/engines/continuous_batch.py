"""Feeding an engine with a continuous batch: kept full, and emptied as its items are finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from aligner_bench.core.types import Completion, Request
from aligner_bench.engines.base import Hooks
from aligner_bench.engines.prompts import PromptBuilder

IN_FLIGHT = 1024
"""Items that an engine holds at once: enough to fill any batch, few to lose."""
_BUNDLE_SECONDS = 2.0  # what has finished is handed out, and stored, this often
ResultT = TypeVar("ResultT")


class Ready(NamedTuple):
    """Token ids of a prompt, and how the engine is to go on from them."""

    ids: list[int]
    how: Any


class ContinuousBatch(Protocol):
    """An engine's own batch."""

    def add(self, key: str, ready: Ready) -> None:
        """Let an item in."""

    def step(self) -> list[tuple[str, Any]]:
        """Compute one step; the items that ended with it, and what the engine has to say of each."""

    def drop(self) -> None:
        """Forget all items."""


@dataclass(frozen=True)
class Work(Generic[ResultT]):
    """What to do with an item before and after. ``prepare`` may give a result at once, without the engine."""

    prepare: Callable[[str], Ready | ResultT]
    finish: Callable[[str, Any, float], ResultT]
    may_start: Callable[[str], bool] = lambda _: True
    finished: Callable[[str, ResultT], None] = lambda _, __: None


def flow(
    keys: Sequence[str], batch: ContinuousBatch, work: Work[ResultT], most: int = IN_FLIGHT
) -> Iterator[dict[str, ResultT]]:
    """Results by key, in bundles of what finished within about two seconds; nothing is left in the batch.

    Items enter in the given order. Once ``may_start`` says no, none enters any more.
    """
    feed = _Feed(keys, batch, work, most)
    try:
        while feed.goes_on():
            feed.fill()
            feed.step()
            if feed.due():
                yield feed.hand_out()
    finally:
        batch.drop()


class _Feed(Generic[ResultT]):
    def __init__(self, keys: Sequence[str], batch: ContinuousBatch, work: Work[ResultT], most: int) -> None:
        self._waiting = iter(keys)
        self._batch, self._work, self._most = batch, work, most
        self._inside: set[str] = set()
        self._open = True
        self._bundle: dict[str, ResultT] = {}
        self._handed = self._ended = time.perf_counter()

    def goes_on(self) -> bool:
        return self._open or bool(self._inside) or bool(self._bundle)

    def fill(self) -> None:
        while self._open and len(self._inside) < self._most:
            key = next(self._waiting, None)
            self._open = key is not None and self._work.may_start(key)
            if key is not None and self._open:
                self._enter(key)

    def _enter(self, key: str) -> None:
        made = self._work.prepare(key)
        if isinstance(made, Ready):
            self._batch.add(key, made)
            self._inside.add(key)
        else:
            self._keep(key, made)

    def step(self) -> None:
        ended = self._batch.step() if self._inside else []
        now = time.perf_counter()
        for key, output in ended:
            self._inside.discard(key)
            # An item's share: the time since others were finished last, over those finished now.
            self._keep(key, self._work.finish(key, output, (now - self._ended) / len(ended)))
        self._ended = now if ended else self._ended

    def _keep(self, key: str, result: ResultT) -> None:
        self._bundle[key] = result
        self._work.finished(key, result)

    def due(self) -> bool:
        late = time.perf_counter() - self._handed >= _BUNDLE_SECONDS
        return bool(self._bundle) and (late or not (self._open or self._inside))

    def hand_out(self) -> dict[str, ResultT]:
        bundle, self._bundle = self._bundle, {}
        self._handed = time.perf_counter()
        return bundle


def completion_work(
    requests: Mapping[str, Request],
    prompts: PromptBuilder,
    how: Callable[[Request], Any],
    finish: Callable[[Request, Any], Completion],
    hooks: Hooks,
) -> Work[Completion]:
    """Work that completes requests. ``finish`` gives text and reason; lengths and time are filled in here."""
    lengths: dict[str, tuple[int, int]] = {}

    def prepare(key: str) -> Ready | Completion:
        request = requests[key]
        ids, cut = prompts.encode(request, request.decoding.max_new_tokens)
        if not ids:
            return Completion(
                "", "error", error=f"too_long: the prompt alone exceeds {prompts.context} tokens"
            )
        lengths[key] = (len(ids), cut)
        return Ready(ids, how(request))

    def done(key: str, output: Any, seconds: float) -> Completion:
        made, (length, cut) = finish(requests[key], output), lengths.pop(key)
        return Completion(
            made.text,
            made.finish_reason,
            length,
            made.completion_tokens,
            cut,
            round(seconds, 4),
            error=made.error,
            logprobs=made.logprobs,
        )

    return Work(prepare, done, hooks.may_start, hooks.finished)


def neighbours(requests: Mapping[str, Request]) -> list[str]:
    """Keys in an order that depends on the items alone and puts those with a common beginning together.

    What is computed of a beginning is then still in the cache when the next item needs it, and the rows of a
    suite may come in any order.
    """
    return sorted(requests, key=lambda key: (_text(requests[key]), requests[key].sample, key))


def _text(request: Request) -> tuple[tuple[tuple[str, str], ...], str]:
    return request.history, request.prefix + request.answer + request.suffix


def in_order(
    stream: Callable[[Mapping[str, Request]], Iterator[dict[str, ResultT]]], requests: Sequence[Request]
) -> list[ResultT]:
    """A stream's results in the order of the requests."""
    found: dict[str, ResultT] = {}
    for bundle in stream({str(i): request for i, request in enumerate(requests)}):
        found |= bundle
    return [found[str(i)] for i in range(len(requests))]
