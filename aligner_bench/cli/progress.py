"""Progress display: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from aligner_bench.core.textsafe import terminal_safe
from aligner_bench.engines.costs import dollars

_VERBS = {"complete": "answering", "score": "scoring", "choose": "judging", "rank": "ranking"}
_PLAIN_EVERY = 15.0  # seconds between plain lines


class ShownProgress:
    """Show step k of n, items computed and reused, tokens per second, cost so far and time left."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._step = self._said_step = ""
        self._title, self._total, self._done, self._tokens = "", 0, 0, 0
        self._usd = 0.0
        self._began = self._said = 0.0

    def __enter__(self) -> ShownProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}", markup=False),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def phase(self, number: int, of: int, title: str) -> None:
        """Start a step of the run; called only if it has work left."""
        self._step = f"[{number}/{of}] {terminal_safe(title)}"

    def begin(self, stage: str, name: str, items: int, known: int) -> None:
        """Start a group of items, of which ``known`` are reused from the ledger."""
        self._title = terminal_safe(f"{_VERBS.get(stage, stage)} with {name}")
        self._total, self._done, self._tokens = items - known, 0, 0
        self._began = self._said = time.monotonic()
        if self._bar is not None:
            title = f"{self._step} · {self._title}" if self._step else self._title
            self._task = self._bar.add_task(title, total=self._total, speed="")
            return
        if self._step != self._said_step:
            self._said_step = self._step
            self._say(self._step)
        reused = f", {known} reused" if known else ""
        self._say(f"{self._title}: {self._total} items{reused}")

    def advance(self, items: int, tokens: int, usd: float = 0.0) -> None:
        """Show a stored batch; ``usd`` is the run's total cost so far."""
        self._done += items
        self._tokens += tokens
        self._usd = usd
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, speed=self._speed(now))
        elif now - self._said > _PLAIN_EVERY:
            self._said = now
            left = (now - self._began) * (self._total - self._done) / max(self._done, 1)
            speed = self._speed(now) or "-"
            self._say(f"  {self._done} of {self._total} items, {speed}, {left:.0f} s left")

    def end(self) -> None:
        """Show the end of a group."""
        if self._bar is None:
            now = time.monotonic()
            more = f", {speed}" if (speed := self._speed(now)) else ""
            self._say(f"  {self._done} items in {now - self._began:.1f} s{more}")

    def _speed(self, now: float) -> str:
        parts = []
        if self._tokens:
            parts.append(f"{self._tokens / max(now - self._began, 1e-9):.0f} tokens/s")
        if self._usd:
            parts.append(f"{dollars(self._usd)} spent")
        return ", ".join(parts)

    @staticmethod
    def _say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
