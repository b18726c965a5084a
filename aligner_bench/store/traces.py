"""Parse traces: every step of a corrector with the scores and texts before and after it.

The ``trace`` column of the responses is the only source; ``trajectories.parquet`` is derived from it for use
with other tools, and ``verify`` recomputes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aligner_bench.core.hashing import sha256_text
from aligner_bench.store.tables import Row, storable

Scores = Mapping[str, float]
REWRITES = ("correct", "reject", "candidate")


@dataclass(frozen=True, slots=True)
class Move:
    """One step after the first. ``text`` and ``after`` are the answer after the step and its scores.

    For rejected rewrites (``reject``) and for ``candidate`` steps, ``offered`` and ``offered_scores`` are the
    written text and its scores.
    """

    step: int
    actor: str
    action: str
    text_before: str | None
    text: str
    before: Scores
    after: Scores
    inspector: str
    threshold: float | None
    order: tuple[str, ...]
    batch: str
    offered: str | None
    offered_scores: Scores

    @property
    def written(self) -> str:
        """The text that the actor wrote, kept or not."""
        return self.text if self.offered is None else self.offered

    @property
    def written_scores(self) -> Scores:
        """The scores of the text that the actor wrote, kept or not."""
        return self.after if self.offered is None else self.offered_scores


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace's start and moves. Traces of candidates alone (best of n) have no start."""

    start: str | None
    scores: Scores
    moves: tuple[Move, ...]


def read_trace(text: str) -> Trace:
    """Parse the trace column of one row. ValueError, KeyError or TypeError for an invalid trace."""
    steps: list[Mapping[str, Any]] = json.loads(text)
    begun = bool(steps) and steps[0]["action"] == "start"
    now: str | None = steps[0]["text"] if begun else None
    scores: Scores = steps[0]["scores"] if begun else {}
    start, moves = (now, scores), []
    for step in steps[1:] if begun else steps:
        move = _move(step, now, scores)
        moves.append(move)
        if move.action != "candidate":
            now, scores = move.text, move.after
    return Trace(*start, tuple(moves))


def _move(step: Mapping[str, Any], now: str | None, scores: Scores) -> Move:
    text, after = step["text"], step.get("scores") or {}
    offered, offered_scores = step.get("offered"), step.get("offered_scores") or {}
    if step["action"] == "candidate":
        offered, offered_scores = text, after
        text, after = (text, after) if now is None else (now, scores)
    return Move(
        step["step"],
        step["actor"],
        step["action"],
        now,
        text,
        scores,
        after,
        step.get("inspector") or "",
        step.get("threshold"),
        tuple(step.get("order") or ()),
        step.get("batch") or "",
        offered,
        offered_scores,
    )


def trajectory_rows(responses: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of ``trajectories.parquet``: one for the start of each trace and one for each move.

    Scores are JSON objects by inspector, hashes are SHA-256 of the texts. After a ``reject`` the answer is
    the previous one; the columns ``*_offered`` hold scores and hash of the rejected text.
    """
    for row in responses:
        trace = read_trace(row["trace"])
        place = {name: row[name] for name in ("suite", "prompt_id", "system")}
        if trace.start is not None:
            yield {**place, **_start_row(trace.start, trace.scores)}
        for move in trace.moves:
            yield {**place, **_move_row(move)}


def _start_row(text: str, scores: Scores) -> Row:
    empty: Row = {"inspector": "", "threshold": None, "order": [], "batch": ""}
    nothing = dict.fromkeys(("scores_before", "hash_before", "scores_offered", "hash_offered"))
    after = {"scores_after": _json(scores), "hash_after": _hash(text)}
    return {"step": 0, "actor": "upstream", "action": "start", **empty, **nothing, **after}


def _move_row(move: Move) -> Row:
    return {
        "step": move.step,
        "actor": move.actor,
        "action": move.action,
        "inspector": move.inspector,
        "threshold": move.threshold,
        "order": list(move.order),
        "batch": move.batch,
        "scores_before": None if move.text_before is None else _json(move.before),
        "scores_after": _json(move.after),
        "hash_before": None if move.text_before is None else _hash(move.text_before),
        "hash_after": _hash(move.text),
        "scores_offered": None if move.offered is None else _json(move.offered_scores),
        "hash_offered": None if move.offered is None else _hash(move.offered),
    }


def _hash(text: str) -> str:
    """Return the hash of the text as stored, equal to the hash of the answer in responses.parquet."""
    return sha256_text(storable(text))


def _json(scores: Scores) -> str:
    return json.dumps(dict(scores), sort_keys=True)
