"""Waiting times before a failed call is retried."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

_LONGEST_WAIT = 120.0
_LONGEST_BACKOFF = 20.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def backoff(tries: int) -> float:
    """Return the seconds before the next try: random, up to a bound that doubles from half a second.

    The full range is random, so that calls which failed together do not retry together.
    """
    return random.uniform(0, min(_LONGEST_BACKOFF, 0.5 * 2.0 ** min(tries - 1, 8)))


def retry_after(error: BaseException | None) -> float | None:
    """Return the seconds that the server asked to wait, at most 120; None if it did not say.

    Read from ``retry-after-ms``, from ``retry-after`` (a number or an HTTP date), or else from the reset
    time of the exhausted limit among OpenAI's.
    """
    headers = getattr(getattr(error, "response", None), "headers", {})
    found = _milliseconds(headers)
    if found is None:
        found = _seconds_or_date(headers.get("retry-after"))
    if found is None:
        found = _exhausted(headers)
    return None if found is None or math.isnan(found) else min(max(found, 0.0), _LONGEST_WAIT)


def _milliseconds(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers.get("retry-after-ms", "")) / 1000
    except ValueError:
        return None


def _seconds_or_date(said: str | None) -> float | None:
    if not said:
        return None
    try:
        return float(said)
    except ValueError:
        try:
            moment = parsedate_to_datetime(said)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - time.time()


def _exhausted(headers: Mapping[str, str]) -> float | None:
    waits = [
        sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(reset))
        for what in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
        and (reset := headers.get(f"x-ratelimit-reset-{what}"))
    ]
    return max(waits, default=None)
