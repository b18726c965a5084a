"""The order in which a squad's members visit an answer, and the scores that decide it.

The published order (Ngweta et al. 2024, 4.1) belongs to a batch: members by ascending mean of the batch's
scores, ties in declared order. Answers are assigned to batches by their texts, never by the order of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Answer
from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.scoring import current
from aligner_bench.correctors.squad_spec import SquadFields


class Batch(NamedTuple):
    """Answers that share an order. ``name`` identifies its position and texts; empty for one answer."""

    rows: tuple[int, ...]
    name: str = ""


def batches(spec: SquadFields, items: Sequence[Item], live: Sequence[int]) -> list[Batch]:
    """Return the batches of the live rows.

    ``batch``: within each suite, rows sorted by prompt and answer text as in the authors' reference code,
    in blocks of ``batch_size``. ``dataset``: one batch per suite. Else every row by itself.
    """
    if spec.order not in ("batch", "dataset"):
        return [Batch((i,)) for i in live]
    return [
        Batch(tuple(rows), _name(items, rows, number))
        for suite in sorted({items[i].suite for i in live})
        for number, rows in enumerate(_blocks(spec, items, [i for i in live if items[i].suite == suite]))
    ]


def _blocks(spec: SquadFields, items: Sequence[Item], rows: Sequence[int]) -> Iterator[list[int]]:
    ordered = sorted(rows, key=lambda i: (items[i].prompt, items[i].answer.text, items[i].prompt_id))
    size = spec.batch_size if spec.order == "batch" else len(ordered)
    for at in range(0, len(ordered), size):
        yield ordered[at : at + size]


def _name(items: Sequence[Item], rows: Sequence[int], number: int) -> str:
    texts = [[items[i].prompt, items[i].answer.text] for i in rows]
    return f"{number}-{digest(texts)[:12]}"


def order_of(spec: SquadFields, batch: Batch, answers: Sequence[Answer]) -> tuple[str, ...]:
    """Return members by ascending mean score over the batch's answers without errors; ties as declared."""
    rows = [current(answers[i]) for i in batch.rows if answers[i].status != "error"]
    return by_score(spec, {inspector: _mean(rows, inspector) for inspector in spec.used("inspector")})


def by_score(spec: SquadFields, scores: Mapping[str, float]) -> tuple[str, ...]:
    """Return members by ascending score; sorting is stable, so ties keep the declared order."""
    return tuple(sorted(spec.members, key=lambda name: scores[spec.members[name].inspector]))


def _mean(rows: Sequence[Mapping[str, float]], inspector: str) -> float:
    # fsum rounds once, at the end, so the order of rows cannot decide a tie.
    return math.fsum(row[inspector] for row in rows) / len(rows) if rows else 0.0
