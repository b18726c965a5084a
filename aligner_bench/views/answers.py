"""Collect the answers for the report: one mapping per prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aligner_bench.results.pairs import judged_pairs
from aligner_bench.store.tables import Row, group

MOST_PROMPTS = 10_000
"""Most prompts whose answers a page shows; a page with more is too large to open."""


def answers(tables: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Collect for each prompt its question, every system's answer with trace and ratings, and verdicts.

    Where there are more than ``MOST_PROMPTS`` prompts, that many are shown, evenly spaced over the run.
    """
    prompts = _shown(tables["prompts"])
    keys = {(row["suite"], row["prompt_id"]) for row in prompts}
    responses, verdicts = (
        group((row for row in tables[name] if (row["suite"], row["prompt_id"]) in keys), "suite", "prompt_id")
        for name in ("responses", "verdicts")
    )
    rated = tables.get("ratings", ())
    ratings = group(
        (row for row in rated if (row["suite"], row["prompt_id"]) in keys), "suite", "prompt_id", "system"
    )
    return [
        {
            **{name: row[name] for name in ("suite", "prompt_id", "category", "criterion", "prompt")},
            "references": list(row["references"] or ()),
            "systems": {
                r["system"]: _answer(r, ratings.get((row["suite"], row["prompt_id"], r["system"]), ()))
                for r in responses.get((row["suite"], row["prompt_id"]), ())
            },
            "verdicts": judged_pairs(verdicts.get((row["suite"], row["prompt_id"]), ())),
        }
        for row in prompts
    ]


def _shown(prompts: Sequence[Row]) -> list[Row]:
    n = len(prompts)
    if n <= MOST_PROMPTS:
        return list(prompts)
    places = {i * n // MOST_PROMPTS for i in range(MOST_PROMPTS)}
    return [row for i, row in enumerate(prompts) if i in places]


def _answer(row: Row, ratings: Sequence[Row]) -> dict[str, Any]:
    kept = ("text", "upstream", "status", "finish_reason", "correct")
    rated = {"ratings": _ratings(ratings)} if ratings else {}
    return {**{name: row[name] for name in kept}, "trace": json.loads(row["trace"]), **rated}


def _ratings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One mapping per rater: its ratings of the answer (``after``) and of the upstream's answer."""
    kept = ("label", "status", "category", "detail")
    return [
        {"rater": rater, **{row["side"]: {name: row[name] for name in kept} for row in sides}}
        for (rater,), sides in group(rows, "rater").items()
    ]
