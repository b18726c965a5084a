"""Kinds of failed server calls, how each is recognised, and its error message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from aligner_bench.core.textsafe import one_line

_LEAST_SECRET = 4
_LONGEST_REASON = 300
_TRANSIENT = (408, 409, 425)  # and every 5xx
_TOO_LONG = re.compile(
    r"context.{0,3}length|context window|too (long|large|many tokens)|maximum.{0,30}tokens", re.IGNORECASE
)


class Fault(StrEnum):
    """Kind of a failure; a completion's error begins with it: ``timeout: no reply after 120 s``."""

    RATE_LIMIT = "rate_limit"
    SERVER = "server"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    NOT_JSON = "not_json"
    WRONG_SHAPE = "wrong_shape"
    NO_CHOICES = "no_choices"
    NO_LOGPROBS = "no_logprobs"
    FILTERED = "filtered"
    TOO_LONG = "too_long"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    QUOTA = "quota"
    BAD_REQUEST = "bad_request"
    STOPPED = "stopped"
    OTHER = "other"


PASSING = frozenset({Fault.RATE_LIMIT, Fault.SERVER, Fault.TIMEOUT, Fault.CONNECTION})
"""Transient: retried up to the model's ``retries``."""
MALFORMED = frozenset({Fault.NOT_JSON, Fault.WRONG_SHAPE, Fault.NO_CHOICES, Fault.NO_LOGPROBS})
"""Replies without a completion, possibly billed: retried at most twice."""
HOPELESS = frozenset({Fault.AUTH, Fault.NOT_FOUND, Fault.QUOTA, Fault.CONNECTION, Fault.NO_LOGPROBS})
"""Permanent: where several calls in a row end so, all others would."""


class ReplyError(Exception):
    """A reply that is no completion; ``tokens`` (in, out) are those that it reports as used."""

    def __init__(self, fault: Fault, said: str) -> None:
        super().__init__(said)
        self.fault = fault
        self.tokens = (0, 0)


def fault_of(error: BaseException) -> Fault:
    """Return the kind of a failed call."""
    import openai

    if isinstance(error, ReplyError):
        return error.fault
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return Fault.TIMEOUT
    if isinstance(error, openai.APIStatusError):
        return status_fault(error.status_code, error.body)
    if isinstance(error, openai.APIConnectionError):
        return Fault.CONNECTION
    return Fault.NOT_JSON if isinstance(error, ValueError) else Fault.OTHER


def status_fault(status: int, body: Any) -> Fault:
    """Return the kind of a reply with an HTTP status of 400 or more; ``body`` is its JSON, if any."""
    fields = body.get("error", body) if isinstance(body, dict) else {}
    fields = fields if isinstance(fields, dict) else {"message": fields}
    code = f"{fields.get('code')} {fields.get('type')}"
    if "insufficient_quota" in code or status == 402:
        return Fault.QUOTA
    if "content_filter" in code:
        return Fault.FILTERED
    if status == 404 or "model_not_found" in code:
        return Fault.NOT_FOUND
    if status in (401, 403):
        return Fault.AUTH
    if status == 429:
        return Fault.RATE_LIMIT
    if status in _TRANSIENT or status >= 500:
        return Fault.SERVER
    too_long = "context_length" in code or status == 413 or _TOO_LONG.search(str(fields.get("message")))
    return Fault.TOO_LONG if too_long else Fault.BAD_REQUEST


def reason(fault: Fault, error: BaseException | str, secrets: Sequence[str]) -> str:
    """Return the failure in one line that begins with its kind, with secrets masked."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    for secret in secrets:
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, "***")
    return f"{fault}: {one_line(text)[:_LONGEST_REASON]}"
