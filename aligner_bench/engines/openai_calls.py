"""All tries of one call: its pace, which failures are tried again, and when to give up on a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Completion
from aligner_bench.engines.base import Hooks
from aligner_bench.engines.call_counts import Tally
from aligner_bench.engines.call_fields import OpenAIFields
from aligner_bench.engines.faults import HOPELESS, MALFORMED, PASSING, Fault, ReplyError, fault_of, reason
from aligner_bench.engines.openai_retry import backoff, retry_after
from aligner_bench.engines.openai_wire import Call, completion, parsed
from aligner_bench.engines.rate_control import Pace

_MALFORMED_RETRIES = 2  # such replies may have been paid for
_IN_A_ROW = 5  # hopeless calls, with no answered one between them, after which the rest is not tried
GOES_ON = "finished work is in the ledger, and the same command goes on"
"""The end of every line with which a run stops."""


class Caller:
    """Makes the calls of one model. Everything but ``facts`` belongs inside the event loop."""

    def __init__(self, spec: OpenAIFields, url: str, server: str, key: str, secrets: Sequence[str]) -> None:
        from openai import AsyncOpenAI

        # A server of one's own wants no key, but the client does.
        self._client = AsyncOpenAI(api_key=key or "none", base_url=url, timeout=spec.timeout, max_retries=0)
        self.spec, self.secrets = spec, secrets
        self._pace = Pace(server, spec.concurrency, spec.rpm, spec.tpm)
        self.deadline = time.monotonic() + spec.run_timeout if spec.run_timeout else None
        self._hopeless = 0
        self._stop = asyncio.Event()
        self._hooks = Hooks()
        self.tally = Tally()
        self.stopped: UsageError | None = None

    def begin(self, hooks: Hooks) -> None:
        """A new stream begins."""
        self._hooks = hooks
        self.stopped = None
        self._hopeless = 0
        self._stop.clear()
        self._pace.open()
        if self.deadline is not None:
            loop = asyncio.get_running_loop()
            loop.call_at(loop.time() + self.deadline - time.monotonic(), self._out_of_time)

    async def answer(self, key: str, call: Call) -> Completion | None:
        """A completion, or a failure that says its kind; None where no more calls were to start."""
        if self._stop.is_set():
            return None
        if not self._hooks.may_start(key):
            self._halt(None)
            return None
        self.tally.calls += 1
        done, spoiled = await self._all_tries(key, call)
        self._count(done)
        # Replies that could not be used are paid for as well, as far as they say so.
        tokens = (done.prompt_tokens + spoiled[0], done.completion_tokens + spoiled[1])
        paid = replace(done, prompt_tokens=tokens[0], completion_tokens=tokens[1])
        self._hooks.finished(key, paid if any(spoiled) else done)
        return done

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def facts(self) -> dict[str, Any]:
        """Counts so far, for the run's manifest."""
        pace = {"waited_seconds": round(self._pace.waited, 1), "lowest_concurrency": self._pace.lowest}
        return self.tally.facts() | pace

    async def _all_tries(self, key: str, call: Call) -> tuple[Completion, tuple[int, int]]:
        """How the item ended, and the tokens (in, out) of its replies that could not be used."""
        tries = malformed = 0
        spoiled = (0, 0)
        while True:
            if not await self._pace.admit(call.tokens):
                return _failed(Fault.STOPPED, "the run ended before this call", ()), spoiled
            tries += 1
            done = await self._one_try(key, call)
            if isinstance(done, Completion):
                return done, spoiled
            if isinstance(done, ReplyError):
                self.tally.spoil(done.tokens)
                spoiled = (spoiled[0] + done.tokens[0], spoiled[1] + done.tokens[1])
            fault = fault_of(done)
            malformed += fault in MALFORMED
            again = fault in PASSING or (fault in MALFORMED and malformed <= _MALFORMED_RETRIES)
            if not again or tries > self.spec.retries or not await self._rested(done, fault, tries):
                return _failed(fault, self._words(fault, done), self.secrets), spoiled

    async def _one_try(self, key: str, call: Call) -> Completion | Exception:
        self.tally.tries += 1
        began, used = time.monotonic(), None
        try:
            # The client's own limit is for each piece of a reply, and a slow drip never reaches it.
            async with asyncio.timeout(self.spec.timeout):
                text = await self._client.post(
                    call.path, cast_to=str, body=call.body, options={"headers": {"Idempotency-Key": key}}
                )
            done = completion(parsed(text), call, self._share(began))
        except Exception as error:
            self._push(error, began)
            return error
        else:
            used = float(done.prompt_tokens + done.completion_tokens) or None
            self._pace.healthy()
            return done
        finally:
            self._pace.release(call.tokens, used)

    def _share(self, began: float) -> float:
        """Seconds of a call, divided among those in flight with it."""
        return round((time.monotonic() - began) / max(self._pace.in_flight, 1), 4)

    def _push(self, error: Exception, began: float) -> None:
        if fault_of(error) is Fault.RATE_LIMIT or getattr(error, "status_code", None) == 503:
            self._pace.pushed(began)
            if (asked := retry_after(error)) is not None:
                self._pace.pause(asked)

    async def _rested(self, error: Exception, fault: Fault, tries: int) -> bool:
        """Wait before the next try; False where the stream was stopped meanwhile."""
        self.tally.retries[fault.value] += 1
        asked = retry_after(error)
        try:
            await asyncio.wait_for(self._stop.wait(), backoff(tries) if asked is None else asked)
        except TimeoutError:
            return True
        return False

    def _words(self, fault: Fault, error: Exception) -> Exception | str:
        return f"no whole reply after {self.spec.timeout:g} s" if fault is Fault.TIMEOUT else error

    def _count(self, done: Completion) -> None:
        fault = self.tally.count(done)
        self._hopeless = self._hopeless + 1 if fault in HOPELESS else 0
        if self._hopeless >= _IN_A_ROW and self.stopped is None:
            self._halt(
                f"model {self.spec.model}: {_IN_A_ROW} calls in a row failed ({done.error}); "
                f"the rest was not tried; {GOES_ON}"
            )

    def _out_of_time(self) -> None:
        if not self._stop.is_set():
            self._halt(
                f"model {self.spec.model}: run_timeout of {self.spec.run_timeout:g} s passed; {GOES_ON}"
            )

    def _halt(self, said: str | None) -> None:
        self.stopped = UsageError(said) if said else None
        self._stop.set()
        self._pace.close()


def _failed(fault: Fault, error: BaseException | str, secrets: Sequence[str]) -> Completion:
    return Completion("", "error", error=reason(fault, error, secrets))
