"""Form batches by token count, shared prefixes and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

_WORTH_A_PREFIX = 1024  # prompt tokens that a separate prefix must save: it costs one more product per step
_LEAST_GAIN = 32  # tokens by which such a prefix must be longer
_LEAST_TOKENS = 256
ResultT = TypeVar("ResultT")


@dataclass
class Budget:
    """Limits of a batch: ``rows`` prompts, and ``tokens`` (rows times padded length, answers included).

    ``halvings`` counts how often memory ran out.
    """

    rows: int
    tokens: int
    halvings: int = 0

    def halve(self, rows: int, tokens: int) -> None:
        """Lower the limits to half of ``rows`` and ``tokens``, with which memory ran out."""
        self.tokens = max(_LEAST_TOKENS, min(self.tokens, tokens) // 2)
        self.rows = max(1, min(self.rows, rows) // 2)
        self.halvings += 1

    def fits(self, rows: int, width: int) -> bool:
        """Return whether ``rows`` rows of padded length ``width`` fit. A single row always does."""
        return rows <= 1 or (rows <= self.rows and rows * width <= self.tokens)


def cut(prompts: Sequence[Sequence[int]], new_tokens: Sequence[int], budget: Budget) -> list[list[int]]:
    """Return the indices of prompts in batches: by shared prefix, then by length, within the budget."""
    widths = [len(prompt) + new for prompt, new in zip(prompts, new_tokens, strict=True)]
    order = [i for group in by_prefix(prompts) for i in sorted(group, key=lambda i: (widths[i], i))]
    return _fill(order, widths, budget)


def cut_lengths(widths: Sequence[int], budget: Budget) -> list[list[int]]:
    """Return indices in batches of similar width, shortest first, within the budget."""
    return _fill(sorted(range(len(widths)), key=lambda i: (widths[i], i)), widths, budget)


def _fill(order: Sequence[int], widths: Sequence[int], budget: Budget) -> list[list[int]]:
    """Return ``order`` cut into batches, each as full as the budget allows."""
    batches: list[list[int]] = []
    widest = 0
    for i in order:
        widest = max(widest, widths[i])
        if batches and budget.fits(len(batches[-1]) + 1, widest):
            batches[-1].append(i)
        else:
            batches.append([i])
            widest = widths[i]
    return batches


def by_prefix(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return indices in groups: prompts are split off where a longer common prefix saves enough."""
    order = sorted(range(len(prompts)), key=lambda i: tuple(prompts[i]))
    return [group for group in _split(prompts, order) if group]


def _split(prompts: Sequence[Sequence[int]], order: list[int]) -> Iterator[list[int]]:
    """Yield groups of ``order``, sorted by tokens: the first and last prompt give the prefix."""
    rest: list[int] = []
    shared = _shared(prompts, order)
    for _, run in groupby(order, key=lambda i: prompts[i][shared : shared + 1]):
        child = list(run)
        gain = _shared(prompts, child) - shared
        if len(child) < len(order) and gain >= _LEAST_GAIN and gain * (len(child) - 1) >= _WORTH_A_PREFIX:
            yield from _split(prompts, child)
        else:
            rest += child
    yield rest


def _shared(prompts: Sequence[Sequence[int]], order: Sequence[int]) -> int:
    if not order:
        return 0
    return overlap(prompts[order[0]], prompts[order[-1]])


def overlap(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the number of leading tokens that two prompts share."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def out_of_memory(error: BaseException) -> bool:
    """Return whether torch raised this error because an allocation failed, on a GPU or a CPU."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "not enough memory" in text or "can't allocate memory" in text
    )


def halving(
    batch: Sequence[int],
    width: Callable[[int], int],
    run: Callable[[Sequence[int]], list[ResultT]],
    lost: ResultT,
    release: Callable[[], None],
    budget: Budget,
) -> list[ResultT]:
    """Return the results of ``run`` over a batch of indices, halved where memory runs out.

    ``width`` is one item's length, answer included; ``release`` frees memory before the next attempt;
    ``lost`` is the result of an item that does not fit even alone.
    """
    if not batch:
        return []
    widest = max(width(i) for i in batch)
    if budget.fits(len(batch), widest):
        try:
            return run(batch)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # After the except block, which referenced them, the failed pass's tensors are freed.
        release()
        budget.halve(len(batch), len(batch) * widest)
        if len(batch) == 1:
            return [lost]
    middle = len(batch) // 2
    halves = (batch[:middle], batch[middle:])
    return [one for half in halves for one in halving(half, width, run, lost, release, budget)]
