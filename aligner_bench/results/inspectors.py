"""Compute what each inspector is worth on held-out pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aligner_bench.inspectors.classifier import auc
from aligner_bench.results.number import Number as Number
from aligner_bench.results.number import Published, share
from aligner_bench.store.tables import Tables, group


def quality(scores: Sequence[tuple[float, float]], lengths: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Accuracy at 0.5 and AUC of (worse, better) scores, and AUC on pairs within 10 % of each other's length.

    AUC is the Mann-Whitney probability that a better answer's score exceeds a worse one's, ties half.
    """
    matched = [
        pair
        for pair, (worse, better) in zip(scores, lengths, strict=True)
        if abs(worse - better) <= 0.1 * max(worse, better)
    ]
    right = sum((worse < 0.5) + (better >= 0.5) for worse, better in scores)
    return {
        "n_right": right,
        "n_pairs": len(scores),
        "auc": auc(scores),
        "auc_length_matched": auc(matched),
        "n_length_matched": len(matched),
    }


def inspector_rows(tables: Tables) -> list[InspectorQuality]:
    """One row per inspector: accuracy and AUC on its held-out pairs."""
    from aligner_bench.results.inspectors import quality

    found = []
    for (name, identity), rows in group(tables["inspectors"], "inspector", "identity").items():
        figures = quality(
            [(row["worse"], row["better"]) for row in rows],
            [(row["worse_length"], row["better_length"]) for row in rows],
        )
        found.append(
            InspectorQuality(
                inspector=name,
                identity=identity,
                accuracy=share(figures["n_right"], 2 * figures["n_pairs"]),
                auc=figures["auc"],
                auc_length_matched=figures["auc_length_matched"],
                n_pairs=figures["n_pairs"],
                n_length_matched=figures["n_length_matched"],
            )
        )
    return found


class InspectorQuality(Published):
    """How well an inspector tells a better answer from a worse one, on pairs it was not trained on."""

    inspector: str
    identity: str
    accuracy: Number | None
    auc: float | None
    auc_length_matched: float | None
    n_pairs: int
    n_length_matched: int
