"""Feed an engine's continuous batch: refill it as items are completed."""

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
_BUNDLE_SECONDS = 2.0  # interval at which completed items are yielded and stored
ResultT = TypeVar("ResultT")


class Ready(NamedTuple):
    """Token ids of a prompt, and the engine's settings for it."""

    ids: list[int]
    settings: Any


class ContinuousBatch(Protocol):
    """An engine's own batch."""

    def add(self, key: str, ready: Ready) -> None:
        """Add an item."""

    def step(self) -> list[tuple[str, Any]]:
        """Compute one step; return the items that it completed, with the engine's output for each."""

    def drop(self) -> None:
        """Drop all items."""


@dataclass(frozen=True)
class Work(Generic[ResultT]):
    """Callbacks around an item's computation; ``prepare`` may return a result without the engine."""

    prepare: Callable[[str], Ready | ResultT]
    finish: Callable[[str, Any, float], ResultT]
    may_start: Callable[[str], bool] = lambda _: True
    finished: Callable[[str, ResultT], None] = lambda _, __: None


def stream_batch(
    keys: Sequence[str], batch: ContinuousBatch, work: Work[ResultT], most: int = IN_FLIGHT
) -> Iterator[dict[str, ResultT]]:
    """Yield results by key, in bundles of what was completed within about two seconds.

    Items enter in the given order, and none after ``may_start`` returned false. The batch is empty at the
    end.
    """
    stream = _Stream(keys, batch, work, most)
    try:
        while stream.active():
            stream.fill()
            stream.step()
            if stream.due():
                yield stream.take()
    finally:
        batch.drop()


class _Stream(Generic[ResultT]):
    def __init__(self, keys: Sequence[str], batch: ContinuousBatch, work: Work[ResultT], most: int) -> None:
        self._waiting = iter(keys)
        self._batch, self._work, self._most = batch, work, most
        self._inside: set[str] = set()
        self._open = True
        self._bundle: dict[str, ResultT] = {}
        self._taken = self._ended = time.perf_counter()

    def active(self) -> bool:
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
            # An item's share: the time since the last completions, divided among the items completed now.
            self._keep(key, self._work.finish(key, output, (now - self._ended) / len(ended)))
        self._ended = now if ended else self._ended

    def _keep(self, key: str, result: ResultT) -> None:
        self._bundle[key] = result
        self._work.finished(key, result)

    def due(self) -> bool:
        late = time.perf_counter() - self._taken >= _BUNDLE_SECONDS
        return bool(self._bundle) and (late or not (self._open or self._inside))

    def take(self) -> dict[str, ResultT]:
        bundle, self._bundle = self._bundle, {}
        self._taken = time.perf_counter()
        return bundle


def completion_work(
    requests: Mapping[str, Request],
    prompts: PromptBuilder,
    settings: Callable[[Request], Any],
    finish: Callable[[Request, Any], Completion],
    hooks: Hooks,
) -> Work[Completion]:
    """Return the work that completes requests.

    ``finish`` gives text and finish reason; lengths and time are added here.
    """
    lengths: dict[str, tuple[int, int]] = {}

    def prepare(key: str) -> Ready | Completion:
        request = requests[key]
        ids, cut = prompts.encode(request, request.decoding.max_new_tokens)
        if not ids:
            return Completion(
                "", "error", error=f"too_long: the prompt alone exceeds {prompts.context} tokens"
            )
        lengths[key] = (len(ids), cut)
        return Ready(ids, settings(request))

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


def order_by_prefix(requests: Mapping[str, Request]) -> list[str]:
    """Return the keys in an order that depends on the items alone and groups common prefixes.

    The cache then still holds a prefix when the next item needs it, and the order of a suite's rows has no
    effect.
    """
    return sorted(requests, key=lambda key: (_text(requests[key]), requests[key].sample, key))


def _text(request: Request) -> tuple[tuple[tuple[str, str], ...], str]:
    return request.history, request.prefix + request.answer + request.suffix
