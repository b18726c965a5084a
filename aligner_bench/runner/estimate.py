"""Estimate a plan's calls, tokens and US dollars, without loading a tokenizer or a model.

Rule: one token for every four characters read, 8 tokens per chat turn, and every answer as long as its
token limit, both when it is written and when a corrector or a judge reads it. A corrector's instruction
counts as 150 tokens. The estimate is an upper bound in nearly all cases; items already in the ledger are
not subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aligner_bench.core.types import Decoding, Pair, Request
from aligner_bench.engines.costs import CHARS_PER_TOKEN, FREE, KnownPrice, request_tokens
from aligner_bench.judges.base import AsksModels
from aligner_bench.suites.types import Prompt, Suite

RULE = (
    "upper bound: one token per 4 characters read, every answer as long as its limit; items in the ledger "
    "are not subtracted"
)
_INSTRUCTION_TOKENS = 150
Prices = Mapping[str, KnownPrice | None]


@dataclass(frozen=True, slots=True)
class Expected:
    """Upper bounds on the calls, tokens and US dollars of a stage; ``usd`` is NaN where no price is known."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Expected) -> Expected:
        return Expected(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.usd + other.usd,
        )


NOTHING = Expected()


def priced(prices: Prices, model: str, calls: int, read: int, written: int) -> Expected:
    """Return the estimate for ``calls`` calls of one model (tokens: ``read`` in, ``written`` out)."""
    known = prices.get(model, FREE)
    return Expected(calls, read, written, math.nan if known is None else known.price.cost(read, written))


def answers(
    prices: Prices, model: str, suites: Sequence[Suite], decoding: Mapping[str, Decoding], samples: int
) -> Expected:
    """Return the estimate for upstream answers: every prompt of every suite, ``samples`` times."""
    read = sum(_question(prompt) for suite in suites for prompt in suite.prompts)
    written = sum(len(suite) * decoding[suite.name].max_new_tokens for suite in suites)
    return priced(prices, model, samples * sum(map(len, suites)), samples * read, samples * written)


def corrections(
    prices: Prices, model: str, suites: Sequence[Suite], decoding: Mapping[str, Decoding], each: int
) -> Expected:
    """Return the estimate for ``each`` corrections of every answer by one model.

    The model reads the question, the answer and its instruction.
    """
    written = sum(len(suite) * decoding[suite.name].max_new_tokens for suite in suites)
    questions = sum(_question(prompt) for suite in suites for prompt in suite.prompts)
    n = sum(map(len, suites))
    read = questions + written + n * _INSTRUCTION_TOKENS
    return priced(prices, model, each * n, each * read, each * written)


def verdicts(
    prices: Prices, judge: object, pairs: Sequence[tuple[Suite, int]], decoding: Mapping[str, Decoding]
) -> Expected:
    """Return the estimate for a judge's verdicts; zero for a judge that calls no model.

    ``pairs`` holds each suite and its number of comparisons.
    """
    if not isinstance(judge, AsksModels):
        return NOTHING
    total = NOTHING
    for suite, comparisons in pairs:
        long = "x" * (CHARS_PER_TOKEN * decoding[suite.name].max_new_tokens)
        for pair in _pairs(suite.prompts, long):
            total += judged_pair(prices, judge, pair, comparisons)
    return total


def audits(prices: Prices, judge: object, pairs: Sequence[Pair]) -> Expected:
    """Return the estimate for a judge's verdicts on pairs with known texts.

    Zero for a judge that calls no model.
    """
    if not isinstance(judge, AsksModels):
        return NOTHING
    return sum((judged_pair(prices, judge, pair) for pair in pairs), NOTHING)


def judged_pair(prices: Prices, judge: AsksModels, pair: Pair, times: int = 1) -> Expected:
    """Return the estimate for judging one pair ``times`` times."""
    total = NOTHING
    for model, request in judge.would_ask(pair):
        written = times * request.decoding.max_new_tokens
        total += priced(prices, model, times, times * request_tokens(request), written)
    return total


def _pairs(prompts: Sequence[Prompt], long: str) -> Iterator[Pair]:
    for prompt in prompts:
        yield Pair(prompt.prompt_id, prompt.text, long, long + "x", prompt.references)


def _question(prompt: Prompt) -> int:
    history = tuple((turn.role, turn.content) for turn in prompt.history)
    return request_tokens(Request(prompt.text, history=history))
