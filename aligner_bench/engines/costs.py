"""Costs of model calls, and a cost limit.

Amounts are US dollars. NaN means "no price is known" and propagates through sums, so that a total never
looks smaller than it is. Models that run on the user's machine have a token price of 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.spec import Spec
from aligner_bench.core.types import Completion, Request
from aligner_bench.core.yamlfile import read_yaml, validated
from aligner_bench.engines.base import ModelSpec

CHARS_PER_TOKEN = 4
"""Estimate without a tokenizer: one token per four characters, rounded up."""
_MILLION = 1_000_000
_TURN_TOKENS = 8  # upper bound on what a chat format adds per turn
_OPENAI_HOST = "api.openai.com"
_FILE = Path(__file__).resolve().parent / "prices.yaml"
UNKNOWN = math.nan


class PriceSpec(Spec):
    """US dollars per million tokens."""

    input: float = Field(ge=0, description="US dollars per million prompt tokens")
    output: float = Field(ge=0, description="US dollars per million generated tokens")
    cached: float | None = Field(
        None, ge=0, description="US dollars per million prompt tokens in the provider's cache"
    )
    batch: float = Field(1.0, gt=0, le=1, description="the batch API's price as a share of this one")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the US dollars of one call, all input at the full price (an upper bound)."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / _MILLION


class _Listed(PriceSpec):
    source: str
    also: tuple[str, ...] = ()


class _Source(Spec):
    page: str
    as_of: str
    note: str = ""


class _PriceFile(Spec):
    sources: dict[str, _Source]
    prices: dict[str, _Listed]


class KnownPrice(Spec):
    """A model's price, its date and its source."""

    price: PriceSpec
    as_of: str = ""
    source: str = ""


FREE = KnownPrice(price=PriceSpec(input=0, output=0), source="runs on one's own machine")


@functools.cache
def listed_prices() -> Mapping[str, KnownPrice]:
    """Return the prices that ship with the package, by the provider's model name."""
    file = validated(_PriceFile, read_yaml(_FILE, "a price list"))
    found = {}
    for name, listed in file.prices.items():
        source = file.sources[listed.source]
        price = PriceSpec(**listed.model_dump(exclude={"source", "also"}))
        for alias in (name, *listed.also):
            found[alias] = KnownPrice(price=price, as_of=source.as_of, source=source.page)
    return found


def price_of(spec: ModelSpec, own: PriceSpec | None = None) -> KnownPrice | None:
    """Return a model's price: the experiment's, 0, or the listed one; None where none is known.

    The list applies to the provider's own server only. A model that is called through the provider's
    batches costs their share of the price.
    """
    known = _full_price(spec, own)
    if known is None or not getattr(spec, "batch_api", False):
        return known
    price, share = known.price, known.price.batch
    batched = {"input": price.input * share, "output": price.output * share, "batch": 1.0}
    return known.model_copy(update={"price": price.model_copy(update=batched)})


def _full_price(spec: ModelSpec, own: PriceSpec | None) -> KnownPrice | None:
    if own is not None:
        return KnownPrice(price=own, source="the experiment file")
    if not spec.paid:
        return FREE
    url = getattr(spec, "base_url", None)
    host = urlsplit(url).hostname if url else _OPENAI_HOST
    return listed_prices().get(spec.label) if host == _OPENAI_HOST else None


def tokens_in(characters: int) -> int:
    """Return the estimated tokens of a text, at four characters per token."""
    return -(-characters // CHARS_PER_TOKEN)


def request_tokens(request: Request) -> int:
    """Return the estimated prompt tokens of a request, with its history and chat format."""
    turns = [content for _, content in request.history]
    text = len(request.prefix) + len(request.answer) + len(request.suffix) + len(request.extra)
    return tokens_in(text + sum(map(len, turns))) + _TURN_TOKENS * (1 + len(turns))


class BudgetError(UsageError):
    """The next call could exceed ``max_cost``. Completed items are in the ledger."""

    def __init__(self, limit: float, spent: float) -> None:
        super().__init__(
            f"max_cost: stopped at {dollars(spent)} of {dollars(limit)}, because the next call could exceed "
            "it; completed items are in the ledger: run the command again with a higher --max-cost to resume"
        )


class Spending:
    """What this run has spent and may spend; calls reserve their upper bound before they start.

    Thread-safe. ``limit`` is in US dollars; None sets no bound. Reused answers cost nothing.
    """

    def __init__(self, prices: Mapping[str, KnownPrice | None], limit: float | None = None) -> None:
        self.prices = prices
        self.limit = limit
        self.spent = 0.0
        self.calls = 0
        self.unpriced_calls = 0
        self._held = 0.0
        self._lock = Lock()

    def priced(self, model: str) -> bool:
        """Return whether a call of this model costs money, as far as is known."""
        known = self.prices.get(model)
        return known is not None and bool(known.price.input or known.price.output)

    def cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost of a call in US dollars; NaN where no price is known."""
        known = self.prices.get(model, FREE)
        return UNKNOWN if known is None else known.price.cost(prompt_tokens, completion_tokens)

    def at_most(self, model: str, request: Request, new_tokens: int | None = None) -> float:
        """Return the upper bound of a request's cost: its estimated input and all tokens it may generate."""
        written = request.decoding.max_new_tokens if new_tokens is None else new_tokens
        return self.cost(model, request_tokens(request), written)

    def reserve(self, amount: float) -> bool:
        """Reserve a call's cost; return False if that could exceed the limit, given all calls in flight."""
        with self._lock:
            if self.limit is not None and self.spent + self._held + amount > self.limit:
                return False
            self._held += amount
            return True

    def settle(self, reserved: float, cost: float) -> None:
        """Release the reservation of a completed call and add its cost."""
        with self._lock:
            self._held = max(0.0, self._held - reserved)
            self.calls += 1
            if math.isnan(cost):
                self.unpriced_calls += 1
            else:
                self.spent += cost

    def summary(self) -> dict[str, Any]:
        """Return the manifest's summary: calls, cost and prices of this run, without reused items."""
        return {
            "usd": round(self.spent, 6),
            "calls": self.calls,
            "calls_without_a_known_price": self.unpriced_calls,
            "max_cost": self.limit,
            "prices": {name: known.model_dump() if known else None for name, known in self.prices.items()},
        }

    def stop(self) -> BudgetError:
        """Return the error that ends a run at its limit."""
        return BudgetError(self.limit or 0.0, self.spent)

    def cost_of(self, model: str, completion: Completion) -> float:
        """Return the cost of a completion by its tokens."""
        return self.cost(model, completion.prompt_tokens, completion.completion_tokens)


def check_limit(prices: Mapping[str, KnownPrice | None], limit: float | None) -> None:
    """Raise UsageError for a limit that cannot be enforced because a model has no known price."""
    unknown = [name for name, known in prices.items() if known is None]
    if limit is not None and unknown:
        raise UsageError(
            f"max_cost: no price is known for models.{unknown[0]}, so the limit cannot be enforced; add one: "
            f"prices: {{{unknown[0]}: {{input: DOLLARS, output: DOLLARS}}}} per million tokens"
        )


def dollars(amount: float | None) -> str:
    """Return US dollars for display: two decimals from one dollar, else four; "no price known" for NaN."""
    if amount is None or math.isnan(amount):
        return "no price known"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:,.4f}"
