"""Stages: one kind of work on one model, computed in fixed batches and stored in the ledger.

Batches are formed from the *whole* list of items before the ledger is read, and each batch is stored in one
transaction. A resumed run therefore computes exactly the batches that an uninterrupted one would have, and
gives the same bytes. Engines that stream have no batches: their results are stored as they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Generic, TypeVar

from aligner_bench.engines.base import Hooks
from aligner_bench.engines.costs import Spending
from aligner_bench.runner.progress import Progress
from aligner_bench.store.ledger import Ledger

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
_WINDOW = 4096  # items of similar size from which an engine forms its batches


@dataclass
class Stage(Generic[ItemT, ResultT]):
    """One kind of work on one model: how its items are keyed, batched, computed and stored."""

    name: str
    model: str
    batch_size: int
    key: Callable[[ItemT], str]
    group: Callable[[ItemT], str]  # only items of one group share a batch
    size: Callable[[ItemT], int]  # items of similar size share a batch
    run: Callable[[Sequence[ItemT]], list[ResultT]]
    encode: Callable[[ResultT], Any]
    decode: Callable[[Any], ResultT]
    keep: Callable[[ResultT], bool] = lambda _: True
    tokens: Callable[[ResultT], int] = lambda _: 0
    at_most: Callable[[ItemT], float] = lambda _: 0.0  # upper bound of an item's cost in US dollars
    cost: Callable[[ItemT, ResultT], float] = lambda _, __: 0.0  # actual cost of an item in US dollars
    # Replaces batches where the engine streams: all items at once, results as they arrive.
    stream: Callable[[Mapping[str, ItemT], Hooks], Iterator[Mapping[str, ResultT]]] | None = None
    # Replaces batch_size where the engine forms batches: indices of the items of each.
    cut: Callable[[Sequence[ItemT]], list[list[int]]] | None = None

    def batches(self, items: Mapping[str, ItemT]) -> Iterator[list[str]]:
        """Return the keys of all items in batches that depend on the items alone."""

        def rank(key: str) -> tuple[str, int, str]:
            return self.group(items[key]), self.size(items[key]), key

        for _, group in groupby(sorted(items, key=rank), key=lambda key: self.group(items[key])):
            while batch := list(islice(group, self.batch_size if self.cut is None else _WINDOW)):
                if self.cut is None:
                    yield batch
                else:
                    yield from ([batch[i] for i in part] for part in self.cut([items[k] for k in batch]))


class StageRunner:
    """Runs stages: reuses results from the ledger, computes and stores the missing ones."""

    def __init__(self, ledger: Ledger, progress: Progress, spending: Spending) -> None:
        self._ledger = ledger
        self._progress = progress
        self._spending = spending
        self.computed: dict[str, int] = {}
        """Items computed, by stage."""
        self.reused: dict[str, int] = {}
        """Items reused from the ledger, by stage."""

    def run(self, stage: Stage[ItemT, ResultT], items: Sequence[ItemT]) -> list[ResultT]:
        """Return results in the order of the items: reused from the ledger, or computed and stored.

        Raises BudgetError where the cost limit stops the stage.
        """
        keys = [stage.key(item) for item in items]
        unique = dict(zip(keys, items, strict=True))
        found = {key: stage.decode(value) for key, value in self._ledger.get(unique).items()}
        self.reused[stage.name] = self.reused.get(stage.name, 0) + len(found)
        if len(found) < len(unique):
            self._progress.begin(stage.name, stage.model, len(unique), len(found))
            if stage.stream is not None:
                found |= self._stream(stage, {key: unique[key] for key in unique if key not in found})
            else:
                found |= self._in_batches(stage, unique, found)
            self._progress.end()
        return [found[key] for key in keys]

    def add(self, stage: str, values: Mapping[str, Any]) -> None:
        """Store plain values that were computed beside a stage, except those that the ledger has."""
        known = self._ledger.get(values)
        fresh = {key: value for key, value in values.items() if key not in known}
        self._ledger.put(stage, fresh)
        self.computed[stage] = self.computed.get(stage, 0) + len(fresh)

    def _in_batches(
        self, stage: Stage[ItemT, ResultT], unique: Mapping[str, ItemT], known: Mapping[str, ResultT]
    ) -> dict[str, ResultT]:
        found: dict[str, ResultT] = {}
        for batch in stage.batches(unique):
            missing = {key: unique[key] for key in batch if key not in known}
            if missing:
                allowed = self._affordable(stage, missing)
                found |= self._compute(stage, allowed)
                if len(allowed) < len(missing):
                    raise self._spending.stop()
        return found

    def _stream(self, stage: Stage[ItemT, ResultT], missing: Mapping[str, ItemT]) -> dict[str, ResultT]:
        """Compute all missing items through one stream; store each bundle before requesting the next."""
        assert stage.stream is not None
        found: dict[str, ResultT] = {}
        hooks = Hooks(
            may_start=lambda key: self._spending.reserve(stage.at_most(missing[key])),
            finished=lambda key, done: self._spending.settle(
                stage.at_most(missing[key]), self._spending.cost_of(stage.model, done)
            ),
            notes=self._ledger,
        )
        for bundle in stage.stream(missing, hooks):
            self._store(stage, bundle)
            found |= bundle
        if len(found) < len(missing):
            raise self._spending.stop()
        return found

    def _store(self, stage: Stage[ItemT, ResultT], fresh: Mapping[str, ResultT]) -> None:
        kept = {key: stage.encode(result) for key, result in fresh.items() if stage.keep(result)}
        self._ledger.put(stage.name, kept)
        self.computed[stage.name] = self.computed.get(stage.name, 0) + len(fresh)
        tokens = sum(stage.tokens(result) for result in fresh.values())
        self._progress.advance(len(fresh), tokens, self._spending.spent)

    def _affordable(self, stage: Stage[ItemT, ResultT], batch: Mapping[str, ItemT]) -> dict[str, ItemT]:
        """Return the items of a batch that fit the cost limit and reserve their cost; all without a limit."""
        allowed = {}
        for key, item in batch.items():
            if not self._spending.reserve(stage.at_most(item)):
                break
            allowed[key] = item
        return allowed

    def _compute(self, stage: Stage[ItemT, ResultT], batch: Mapping[str, ItemT]) -> dict[str, ResultT]:
        if not batch:
            return {}
        fresh = dict(zip(batch, stage.run(list(batch.values())), strict=True))
        for key, result in fresh.items():
            self._spending.settle(stage.at_most(batch[key]), stage.cost(batch[key], result))
        self._store(stage, fresh)
        return fresh
