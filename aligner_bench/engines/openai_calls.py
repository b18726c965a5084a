"""All tries of one call: rate control, retries, and the end of a stream when a server keeps failing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Completion
from aligner_bench.engines.base import Hooks
from aligner_bench.engines.call_counts import CallCounts
from aligner_bench.engines.call_fields import OpenAIFields
from aligner_bench.engines.faults import HOPELESS, MALFORMED, PASSING, Fault, ReplyError, fault_of, reason
from aligner_bench.engines.openai_retry import backoff, retry_after
from aligner_bench.engines.openai_wire import Call, completion, parse_json
from aligner_bench.engines.rate_control import RateControl

_MALFORMED_RETRIES = 2  # such replies may have been billed
_IN_A_ROW = 5  # permanent failures, with no answered call between them, after which the stream ends
RESUME_HINT = "completed items are in the ledger: run the command again to resume"
"""Ends every message with which a run stops."""


class Caller:
    """Makes the calls of one model. Everything but ``facts`` must run inside the event loop."""

    def __init__(self, spec: OpenAIFields, url: str, server: str, key: str, secrets: Sequence[str]) -> None:
        from openai import AsyncOpenAI

        # A self-hosted server needs no key, but the client requires one.
        self._client = AsyncOpenAI(api_key=key or "none", base_url=url, timeout=spec.timeout, max_retries=0)
        self.spec, self.secrets = spec, secrets
        self._rate = RateControl(server, spec.concurrency, spec.rpm, spec.tpm)
        self.deadline = time.monotonic() + spec.run_timeout if spec.run_timeout else None
        self._hopeless = 0
        self._stop = asyncio.Event()
        self._hooks = Hooks()
        self.counts = CallCounts()
        self.stopped: UsageError | None = None

    def begin(self, hooks: Hooks) -> None:
        """Begin a new stream."""
        self._hooks = hooks
        self.stopped = None
        self._hopeless = 0
        self._stop.clear()
        self._rate.open()
        if self.deadline is not None:
            loop = asyncio.get_running_loop()
            loop.call_at(loop.time() + self.deadline - time.monotonic(), self._out_of_time)

    async def answer(self, key: str, call: Call) -> Completion | None:
        """Return a completion or a failure with its kind; None where no more calls may start."""
        if self._stop.is_set():
            return None
        if not self._hooks.may_start(key):
            self._halt(None)
            return None
        self.counts.calls += 1
        done, unusable = await self._all_tries(key, call)
        self._count(done)
        # Unusable replies are billed too, as far as they report tokens.
        tokens = (done.prompt_tokens + unusable[0], done.completion_tokens + unusable[1])
        paid = replace(done, prompt_tokens=tokens[0], completion_tokens=tokens[1])
        self._hooks.finished(key, paid if any(unusable) else done)
        return done

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def facts(self) -> dict[str, Any]:
        """Return the counts so far, for the run's manifest."""
        rate = {"waited_seconds": round(self._rate.waited, 1), "lowest_concurrency": self._rate.lowest}
        return self.counts.facts() | rate

    async def _all_tries(self, key: str, call: Call) -> tuple[Completion, tuple[int, int]]:
        """Return the item's completion, and the tokens (in, out) of its unusable replies."""
        tries = malformed = 0
        unusable = (0, 0)
        while True:
            if not await self._rate.admit(call.tokens):
                return _failed(Fault.STOPPED, "the run ended before this call", ()), unusable
            tries += 1
            done = await self._one_try(key, call)
            if isinstance(done, Completion):
                return done, unusable
            if isinstance(done, ReplyError):
                self.counts.count_unusable(done.tokens)
                unusable = (unusable[0] + done.tokens[0], unusable[1] + done.tokens[1])
            fault = fault_of(done)
            malformed += fault in MALFORMED
            again = fault in PASSING or (fault in MALFORMED and malformed <= _MALFORMED_RETRIES)
            if not again or tries > self.spec.retries or not await self._wait_to_retry(done, fault, tries):
                return _failed(fault, self._described(fault, done), self.secrets), unusable

    async def _one_try(self, key: str, call: Call) -> Completion | Exception:
        self.counts.tries += 1
        began, used = time.monotonic(), None
        try:
            # The client's own timeout applies to each part of a reply, which a slow stream never exceeds.
            async with asyncio.timeout(self.spec.timeout):
                text = await self._client.post(
                    call.path, cast_to=str, body=call.body, options={"headers": {"Idempotency-Key": key}}
                )
            done = completion(parse_json(text), call, self._share(began))
        except Exception as error:
            self._note_refusal(error, began)
            return error
        else:
            used = float(done.prompt_tokens + done.completion_tokens) or None
            self._rate.answered()
            return done
        finally:
            self._rate.release(call.tokens, used)

    def _share(self, began: float) -> float:
        """Return the seconds of a call, divided among those in flight with it."""
        return round((time.monotonic() - began) / max(self._rate.in_flight, 1), 4)

    def _note_refusal(self, error: Exception, began: float) -> None:
        if fault_of(error) is Fault.RATE_LIMIT or getattr(error, "status_code", None) == 503:
            self._rate.refused(began)
            if (asked := retry_after(error)) is not None:
                self._rate.pause(asked)

    async def _wait_to_retry(self, error: Exception, fault: Fault, tries: int) -> bool:
        """Wait before the next try; return False if the stream was stopped meanwhile."""
        self.counts.retries[fault.value] += 1
        asked = retry_after(error)
        try:
            await asyncio.wait_for(self._stop.wait(), backoff(tries) if asked is None else asked)
        except TimeoutError:
            return True
        return False

    def _described(self, fault: Fault, error: Exception) -> Exception | str:
        return f"no whole reply after {self.spec.timeout:g} s" if fault is Fault.TIMEOUT else error

    def _count(self, done: Completion) -> None:
        fault = self.counts.count(done)
        self._hopeless = self._hopeless + 1 if fault in HOPELESS else 0
        if self._hopeless >= _IN_A_ROW and self.stopped is None:
            self._halt(
                f"model {self.spec.model}: {_IN_A_ROW} calls in a row failed ({done.error}); "
                f"the rest was not called; {RESUME_HINT}"
            )

    def _out_of_time(self) -> None:
        if not self._stop.is_set():
            self._halt(
                f"model {self.spec.model}: run_timeout of {self.spec.run_timeout:g} s passed; {RESUME_HINT}"
            )

    def _halt(self, said: str | None) -> None:
        self.stopped = UsageError(said) if said else None
        self._stop.set()
        self._rate.close()


def _failed(fault: Fault, error: BaseException | str, secrets: Sequence[str]) -> Completion:
    return Completion("", "error", error=reason(fault, error, secrets))
