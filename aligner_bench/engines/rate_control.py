"""How many calls a server gets, and how fast: adaptive concurrency, rate limits, pauses it asked for.

All of it lives in one event loop. The number of calls in flight follows additive increase, multiplicative
decrease, as TCP does it (Chiu and Jain 1989): doubling each round trip until the server first pushes back,
then halved at every push and grown by one a round trip.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress

_FIRST_LIMIT = 16
_TOKEN_BURST = 6.0  # seconds' worth of tokens that may be spent at once
_paused_until: dict[str, float] = {}  # server -> monotonic time; all models of a server share its pauses


class Bucket:
    """A token bucket: ``per_minute`` units flow in evenly; it may be overdrawn, and then waits."""

    def __init__(self, per_minute: float, burst_seconds: float) -> None:
        self._rate = per_minute / 60.0
        self._most = max(1.0, self._rate * burst_seconds)
        self._held, self._at = self._most, time.monotonic()

    def delay(self, amount: float) -> float:
        """Seconds until ``amount`` may be taken; an amount above the capacity waits for a full bucket."""
        now = time.monotonic()
        self._held = min(self._most, self._held + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (min(amount, self._most) - self._held) / self._rate)

    def take(self, amount: float) -> None:
        """Take ``amount``, or give back a negative one."""
        self._held -= amount


class Pace:
    """The pace of one model's calls."""

    def __init__(self, server: str, most: int, rpm: float | None, tpm: float | None) -> None:
        self._server, self._most = server, most
        self._limit = float(min(most, _FIRST_LIMIT))
        self._pushed_at: float | None = None
        self._requests = Bucket(rpm, 1.0) if rpm else None
        self._tokens = Bucket(tpm, _TOKEN_BURST) if tpm else None
        self._turn, self._changed = asyncio.Lock(), asyncio.Event()
        self._closed = False
        self.in_flight = 0
        self.lowest = most
        self.waited = 0.0

    def open(self) -> None:
        """Let calls begin (again)."""
        self._closed = False

    def close(self) -> None:
        """Let no further call begin; those that wait for their turn are told so."""
        self._closed = True
        self._changed.set()

    async def admit(self, tokens: float) -> bool:
        """Wait for a place; False if none will come. ``tokens`` is an estimate, corrected by ``release``."""
        async with self._turn:
            while not self._closed and (delay := self._delay(tokens)) > 0:
                began = time.monotonic()
                self._changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), None if math.isinf(delay) else delay)
                self.waited += time.monotonic() - began
            if self._closed:
                return False
            self.in_flight += 1
            for bucket, amount in ((self._requests, 1.0), (self._tokens, tokens)):
                if bucket is not None:
                    bucket.take(amount)
            return True

    def release(self, estimated: float, used: float | None) -> None:
        """A call has ended, having used so many tokens (None: unknown)."""
        self.in_flight -= 1
        if self._tokens is not None and used is not None:
            self._tokens.take(used - estimated)
        self._changed.set()

    def healthy(self) -> None:
        """A call was answered: one more at once until the server first pushed back, then one a round."""
        if self._limit < self._most:
            step = 1.0 if self._pushed_at is None else 1.0 / self._limit
            self._limit = min(float(self._most), self._limit + step)

    def pushed(self, began: float) -> None:
        """The server said that there are too many calls; calls from before the last push do not count."""
        if self._pushed_at is None or began > self._pushed_at:
            self._pushed_at = time.monotonic()
            self._limit = max(1.0, self._limit / 2)
            self.lowest = min(self.lowest, int(self._limit))

    def pause(self, seconds: float) -> None:
        """The server asked for a pause: no model of it calls before it is over."""
        until = time.monotonic() + seconds
        _paused_until[self._server] = max(_paused_until.get(self._server, 0.0), until)

    def _delay(self, tokens: float) -> float:
        if self.in_flight >= int(self._limit):
            return math.inf
        waits = [_paused_until.get(self._server, 0.0) - time.monotonic()]
        waits += [self._requests.delay(1.0)] if self._requests else []
        waits += [self._tokens.delay(tokens)] if self._tokens else []
        return max(waits)
