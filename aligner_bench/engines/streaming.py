"""Many calls in flight, whose results a plain iterator yields as they arrive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from aligner_bench.core.types import Request

ResultT = TypeVar("ResultT")
Work = Callable[[str], Awaitable[ResultT | None]]
_PAUSE = 0.004  # seconds in which further results may join a bundle: fewer, larger transactions


class Loop:
    """An event loop in its own thread, so that an engine also works where a loop already runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="calls")
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, None]) -> Any:
        """Start a coroutine; return a future that can be cancelled."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], ResultT]) -> ResultT:
        """Call a function inside the loop and return its result."""

        async def inside() -> ResultT:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result()

    def end(self, last: Coroutine[Any, Any, None]) -> None:
        """Run a last coroutine, then end the thread; without effect on an ended loop."""
        if self._loop.is_closed():
            last.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(last, self._loop).result(timeout=5)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
            if not self._thread.is_alive():
                self._loop.close()


def bundles(
    loop: Loop, keys: Mapping[str, Any], at_once: int, work: Work[ResultT]
) -> Iterator[dict[str, ResultT]]:
    """Yield ``work(key)`` for every key, ``at_once`` at a time, in bundles of what is completed.

    Other calls continue while a bundle is processed; a consumer that stores each bundle before requesting
    the next has at most a few milliseconds' results unstored. None is left out. An exception in ``work``
    ends the stream after everything completed before it. A stream that is not read to its end is cancelled.
    """
    done: SimpleQueue[tuple[str, ResultT] | BaseException | None] = SimpleQueue()
    waiting = iter(list(keys))

    async def worker() -> None:
        for key in waiting:
            result = await work(key)
            if result is not None:
                done.put((key, result))

    async def everything() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(at_once, len(keys))):
                    group.create_task(worker())
        except BaseExceptionGroup as errors:
            done.put(errors.exceptions[0])
        else:
            done.put(None)

    running = loop.start(everything())
    try:
        yield from _until_the_end(done)
    finally:
        running.cancel()


def in_order(
    stream: Callable[[Mapping[str, Request]], Iterator[dict[str, ResultT]]],
    requests: Sequence[Request],
    prefix: str = "",
) -> list[ResultT]:
    """Return a stream's results in the order of the requests; keys begin with ``prefix``."""
    keyed = {f"{prefix}{i}": request for i, request in enumerate(requests)}
    found: dict[str, ResultT] = {}
    for bundle in stream(keyed):
        found |= bundle
    return [found[key] for key in keyed]


def _until_the_end(
    done: SimpleQueue[tuple[str, ResultT] | BaseException | None],
) -> Iterator[dict[str, ResultT]]:
    pause = threading.Event()
    while True:
        bundle: dict[str, ResultT] = {}
        last = done.get()
        pause.wait(_PAUSE)
        try:
            while isinstance(last, tuple):
                bundle[last[0]] = last[1]
                last = done.get_nowait()
        except Empty:
            yield bundle
            continue
        if bundle:
            yield bundle
        if last is not None:
            raise last
        return
