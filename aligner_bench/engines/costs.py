"""Money: what a model call costs, and a limit that is never passed silently.

Amounts are US dollars. NaN stands for "no price is known" and passes through every sum, so that a total never
looks smaller than it is. Models that run on one's own machine have no price for a token, which is 0.
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
"""The rule of estimates that know no tokenizer: a token for every four characters, rounded up."""
_MILLION = 1_000_000
_TURN_TOKENS = 8  # what a chat format adds to a turn, generously
_OPENAI_HOST = "api.openai.com"
_FILE = Path(__file__).resolve().parent / "prices.yaml"
UNKNOWN = math.nan


class PriceSpec(Spec):
    """US dollars for a million tokens."""

    input: float = Field(ge=0, description="US dollars for a million prompt tokens")
    output: float = Field(ge=0, description="US dollars for a million tokens that the model writes")
    cached: float | None = Field(
        None, ge=0, description="US dollars for a million prompt tokens in the provider's cache"
    )
    batch: float = Field(1.0, gt=0, le=1, description="a batch API's price as a share of this one")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars of one call, all input at the full price: a provider's cache can only make it less."""
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
    """A model's price, from when it is, and who says so."""

    price: PriceSpec
    as_of: str = ""
    source: str = ""


FREE = KnownPrice(price=PriceSpec(input=0, output=0), source="runs on one's own machine")


@functools.cache
def listed_prices() -> Mapping[str, KnownPrice]:
    """The prices that ship with the package, by the provider's name of the model."""
    file = validated(_PriceFile, read_yaml(_FILE, "a price list"))
    found = {}
    for name, listed in file.prices.items():
        source = file.sources[listed.source]
        price = PriceSpec(**listed.model_dump(exclude={"source", "also"}))
        for alias in (name, *listed.also):
            found[alias] = KnownPrice(price=price, as_of=source.as_of, source=source.page)
    return found


def price_of(spec: ModelSpec, own: PriceSpec | None = None) -> KnownPrice | None:
    """A model's price: the experiment's own, none to pay, the listed one; None where none is known.

    The list is for the provider's own server. What another server takes for the same name is not known. A
    model that is asked through the provider's batches costs their share of it.
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
    """Tokens of a text by the rule of estimates."""
    return -(-characters // CHARS_PER_TOKEN)


def request_tokens(request: Request) -> int:
    """Estimated prompt tokens of a request, its history and chat format included."""
    turns = [content for _, content in request.history]
    text = len(request.prefix) + len(request.answer) + len(request.suffix) + len(request.extra)
    return tokens_in(text + sum(map(len, turns))) + _TURN_TOKENS * (1 + len(turns))


class BudgetError(UsageError):
    """The next call could pass ``max_cost``. What is finished is in the ledger."""

    def __init__(self, limit: float, spent: float) -> None:
        super().__init__(
            f"max_cost: stopped at {dollars(spent)} of {dollars(limit)}, for the next call could pass it; "
            "finished work is in the ledger, and the same command with a higher --max-cost goes on"
        )


class Purse:
    """What this run has spent and may spend. Calls reserve the most they can cost before they start.

    Safe for several threads. ``limit`` None sets no bound. Spending is what was paid now: answers that come
    from the ledger cost nothing again.
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
        """Does a call of this model cost money, as far as is known?"""
        known = self.prices.get(model)
        return known is not None and bool(known.price.input or known.price.output)

    def cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """What a call costs; NaN where no price is known."""
        known = self.prices.get(model, FREE)
        return UNKNOWN if known is None else known.price.cost(prompt_tokens, completion_tokens)

    def at_most(self, model: str, request: Request, new_tokens: int | None = None) -> float:
        """The most a request is expected to cost: its estimated input and all tokens it may write."""
        written = request.decoding.max_new_tokens if new_tokens is None else new_tokens
        return self.cost(model, request_tokens(request), written)

    def reserve(self, amount: float) -> bool:
        """Set aside what a call may cost; False where that, with all in flight, could pass the limit."""
        with self._lock:
            if self.limit is not None and self.spent + self._held + amount > self.limit:
                return False
            self._held += amount
            return True

    def settle(self, reserved: float, cost: float) -> None:
        """A call has ended: what was set aside is free again, and ``cost`` is spent."""
        with self._lock:
            self._held = max(0.0, self._held - reserved)
            self.calls += 1
            if math.isnan(cost):
                self.unpriced_calls += 1
            else:
                self.spent += cost

    def summary(self) -> dict[str, Any]:
        """For the manifest: what this run paid, at which prices. Work from the ledger is not in it."""
        return {
            "usd": round(self.spent, 6),
            "calls": self.calls,
            "calls_without_a_known_price": self.unpriced_calls,
            "max_cost": self.limit,
            "prices": {name: known.model_dump() if known else None for name, known in self.prices.items()},
        }

    def stop(self) -> BudgetError:
        """The error that ends a run at its limit."""
        return BudgetError(self.limit or 0.0, self.spent)

    def cost_of(self, model: str, completion: Completion) -> float:
        """What a completion costs by its tokens."""
        return self.cost(model, completion.prompt_tokens, completion.completion_tokens)


def check_limit(prices: Mapping[str, KnownPrice | None], limit: float | None) -> None:
    """UsageError for a limit that cannot be kept: one of the models has no known price."""
    unknown = [name for name, known in prices.items() if known is None]
    if limit is not None and unknown:
        raise UsageError(
            f"max_cost: no price is known for models.{unknown[0]}, so a limit cannot be kept; give it one: "
            f"prices: {{{unknown[0]}: {{input: DOLLARS, output: DOLLARS}}}} for a million tokens"
        )


def dollars(amount: float | None) -> str:
    """US dollars as people read them: two digits from a dollar on, four below; words for what is unknown."""
    if amount is None or math.isnan(amount):
        return "no price known"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:,.4f}"
