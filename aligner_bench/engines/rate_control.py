"""Rate control of server calls: adaptive concurrency, rate limits, requested pauses.

Everything runs in one event loop. The number of calls in flight follows additive increase, multiplicative
decrease, as in TCP (Chiu and Jain 1989): doubled each round trip until the server first refuses a call,
then halved at every refusal and increased by one per round trip.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress

_FIRST_LIMIT = 16
_TOKEN_BURST = 6.0  # seconds' worth of tokens that may be used at once
_paused_until: dict[str, float] = {}  # server -> monotonic time; all models of a server share its pauses


class Bucket:
    """A token bucket that refills at ``per_minute``; it may be overdrawn, and then delays the next call."""

    def __init__(self, per_minute: float, burst_seconds: float) -> None:
        self._rate = per_minute / 60.0
        self._most = max(1.0, self._rate * burst_seconds)
        self._held, self._at = self._most, time.monotonic()

    def delay(self, amount: float) -> float:
        """Return the seconds until ``amount`` may be taken; at most until the bucket is full."""
        now = time.monotonic()
        self._held = min(self._most, self._held + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (min(amount, self._most) - self._held) / self._rate)

    def take(self, amount: float) -> None:
        """Take ``amount`` units; a negative amount adds units."""
        self._held -= amount


class RateControl:
    """Rate control of one model's calls."""

    def __init__(self, server: str, most: int, rpm: float | None, tpm: float | None) -> None:
        self._server, self._most = server, most
        self._limit = float(min(most, _FIRST_LIMIT))
        self._refused_at: float | None = None
        self._requests = Bucket(rpm, 1.0) if rpm else None
        self._tokens = Bucket(tpm, _TOKEN_BURST) if tpm else None
        self._turn, self._changed = asyncio.Lock(), asyncio.Event()
        self._closed = False
        self.in_flight = 0
        self.lowest = most
        self.waited = 0.0

    def open(self) -> None:
        """Allow calls to start."""
        self._closed = False

    def close(self) -> None:
        """Stop further calls; waiting ones are refused."""
        self._closed = True
        self._changed.set()

    async def admit(self, tokens: float) -> bool:
        """Wait for permission to call; return False after ``close``.

        ``tokens`` is an estimate, which ``release`` corrects.
        """
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
        """End a call that used ``used`` tokens (None: unknown)."""
        self.in_flight -= 1
        if self._tokens is not None and used is not None:
            self._tokens.take(used - estimated)
        self._changed.set()

    def answered(self) -> None:
        """Raise the limit after an answered call: by one, after the first refusal by one per round trip."""
        if self._limit < self._most:
            step = 1.0 if self._refused_at is None else 1.0 / self._limit
            self._limit = min(float(self._most), self._limit + step)

    def refused(self, began: float) -> None:
        """Lower the limit after a refusal; calls begun before the previous refusal do not count."""
        if self._refused_at is None or began > self._refused_at:
            self._refused_at = time.monotonic()
            self._limit = max(1.0, self._limit / 2)
            self.lowest = min(self.lowest, int(self._limit))

    def pause(self, seconds: float) -> None:
        """Pause all calls to the server for ``seconds``."""
        until = time.monotonic() + seconds
        _paused_until[self._server] = max(_paused_until.get(self._server, 0.0), until)

    def _delay(self, tokens: float) -> float:
        if self.in_flight >= int(self._limit):
            return math.inf
        waits = [_paused_until.get(self._server, 0.0) - time.monotonic()]
        waits += [self._requests.delay(1.0)] if self._requests else []
        waits += [self._tokens.delay(tokens)] if self._tokens else []
        return max(waits)
