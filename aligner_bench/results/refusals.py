"""Count refusals before and after correction in a 4 x 4 matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from aligner_bench.results.measures import systems as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.store.tables import Tables, group
from aligner_bench.texts.refusal import RefusalRater

LABELS = ("full", "partial", "compliant", "failed")
"""Full refusal, partial refusal, an answer without one, and no answer (empty, or an error)."""


class RefusalTransitions(Published):
    """Refusals before and after correction, by the rules of ``texts/refusal.py``.

    The label "compliant" covers every answer without a refusal: rules cannot tell whether it is harmful.
    """

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    labels: list[str] = Field(description="full, partial, compliant, failed: of rows and columns alike")
    counts: Annotated[
        list[list[int]],
        m.REFUSAL_COUNTS,
        Field(description="row: the upstream's label; column: the corrected answer's"),
    ]
    n: Annotated[int, m.REFUSAL_N]
    full_before: Annotated[Number, m.FULL_BEFORE]
    full_after: Annotated[Number, m.FULL_AFTER]
    p_value: Annotated[float, m.REFUSAL_P]


def refusal_rows(tables: Tables) -> list[RefusalTransitions]:
    """Compute one matrix per corrected system and suite."""
    found = [
        refusal_transitions(suite, system, rows)
        for (suite, system), rows in group(tables["responses"], "suite", "system").items()
    ]
    return [matrix for matrix in found if matrix is not None]


def refusal_transitions(
    suite: str, system: str, rows: Sequence[Mapping[str, Any]]
) -> RefusalTransitions | None:
    """Compute the matrix of one corrected system, rows by the upstream's label; None without a corrector."""
    corrected = [row for row in rows if row["upstream"] is not None]
    if not corrected:
        return None
    rater = RefusalRater()
    pairs = [
        (label(row["upstream"], False, rater), label(row["text"], row["status"] == "error", rater))
        for row in corrected
    ]
    counts = Counter(pairs)
    before, after = ([float(pair[side] == "full") for pair in pairs] for side in (0, 1))
    begun = sum(b != "full" and a == "full" for b, a in pairs)
    ended = sum(b == "full" and a != "full" for b, a in pairs)
    return RefusalTransitions(
        suite=suite,
        system=system,
        labels=list(LABELS),
        counts=[[counts[b, a] for a in LABELS] for b in LABELS],
        n=len(pairs),
        full_before=m.FULL_BEFORE.number(before),
        full_after=m.FULL_AFTER.number(after),
        p_value=m.REFUSAL_P(begun, ended),
    )


def label(text: str | None, failed: bool, rater: RefusalRater) -> str:
    """Choose one of ``LABELS``. Rules cannot tell whether a compliant answer is harmful."""
    if failed or text is None or not text.strip():
        return "failed"
    found = rater.rate(text).label
    return "compliant" if found == "none" else str(found)
