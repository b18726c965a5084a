"""Compute how well each inspector separates better from worse answers on held-out pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from aligner_bench.results.measures import judges as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.store.tables import Tables, group

_LIKE = 0.1


class InspectorQuality(Published):
    """How well an inspector separates a better answer from a worse one, on pairs it was not trained on."""

    origin: ClassVar = Origin("inspectors")
    inspector: str
    identity: str
    accuracy: Annotated[Number | None, m.INSPECTOR_ACCURACY]
    auc: Annotated[float | None, m.AUC]
    auc_length_matched: Annotated[float | None, m.AUC_MATCHED]
    n_pairs: Annotated[int, m.N_PAIRS]
    n_length_matched: Annotated[int, m.N_MATCHED]


def inspector_rows(tables: Tables) -> list[InspectorQuality]:
    """Compute one row per inspector: accuracy and AUC on its held-out pairs."""
    return [
        InspectorQuality(
            inspector=name,
            identity=identity,
            **quality(
                [(row["worse"], row["better"]) for row in rows],
                [(row["worse_length"], row["better_length"]) for row in rows],
            ),
        )
        for (name, identity), rows in group(tables["inspectors"], "inspector", "identity").items()
    ]


def quality(scores: Sequence[tuple[float, float]], lengths: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Compute accuracy at 0.5, AUC of (worse, better) scores, and AUC on pairs within 10 % in length.

    AUC is the Mann-Whitney probability that a better answer's score exceeds a worse one's, ties half.
    """
    matched = [
        pair
        for pair, (worse, better) in zip(scores, lengths, strict=True)
        if abs(worse - better) <= _LIKE * max(worse, better)
    ]
    right = [float(hit) for worse, better in scores for hit in (worse < 0.5, better >= 0.5)]
    return {
        "accuracy": m.INSPECTOR_ACCURACY.optional(right),
        "auc": m.AUC(scores),
        "auc_length_matched": m.AUC_MATCHED(matched),
        "n_pairs": len(scores),
        "n_length_matched": len(matched),
    }
