"""Convert stored AlpacaEval annotations to verdicts, inferring the order and an excerpt of the reply.

AlpacaEval judges one randomly drawn order per pair and does not store it. The judge's raw reply refers to the
order shown (m is the first answer, M the second), the stored preference to the order of the file; the order
is inferred by comparing the two, and ``unknown`` if they do not determine it.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from aligner_bench.core.textsafe import one_line
from aligner_bench.core.types import IDENTICAL
from aligner_bench.store.alpaca_files import Annotation
from aligner_bench.store.tables import Row

Order = Literal["candidate_first", "baseline_first", "unknown"]
_TOLERANCE = 1e-5
_LONGEST = 200


def order_of(annotation: Annotation) -> Order:
    """Return the order that the judge saw. The candidate is AlpacaEval's second output."""
    shown = _shown_preference(annotation.raw, annotation.preference)
    if shown is None or annotation.preference is None:
        return "unknown"
    straight = abs(shown - annotation.preference) < _TOLERANCE
    switched = abs(3 - shown - annotation.preference) < _TOLERANCE
    if straight == switched:
        return "unknown"
    return "baseline_first" if straight else "candidate_first"


def reply_excerpt(raw: object) -> str:
    """Return an excerpt of the judge's reply, for display."""
    mass = _masses(raw)
    if mass is not None:
        return f"P(first) = {mass[0]:.3f}, P(second) = {mass[1]:.3f}"
    text = raw.get("text", "") if isinstance(raw, dict) else raw
    return one_line(text)[:_LONGEST] if isinstance(text, str) else ""


def _shown_preference(raw: object, preference: float | None) -> float | None:
    """Return AlpacaEval's preference as shown to the judge: 1 for the first answer, 2 for the second."""
    mass = _masses(raw)
    if mass is not None:
        graded = 1 + mass[1] / sum(mass)
        return graded if preference not in (1, 2) else float(round(graded))
    text = raw.get("text") if isinstance(raw, dict) else raw
    if isinstance(text, str) and preference in (1, 2):
        return {"m": 1.0, "M": 2.0}.get(text.strip())
    return None


def _masses(raw: object) -> tuple[float, float] | None:
    """Return the probabilities of m and M as the first token; None if the reply does not contain them."""
    try:
        tokens: list[dict[str, Any]] = raw["logprobs"]["content"][0]["top_logprobs"]  # type: ignore[index]
        found = {token["token"]: math.exp(min(float(token["logprob"]), 0.0)) for token in tokens}
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    mass = found.get("m", 0.0), found.get("M", 0.0)
    return mass if sum(mass) > 0 else None


def verdict_of(annotation: Annotation) -> Row:
    """Return an annotation as a verdict: order, status, preference for the candidate, and reply excerpt."""
    if annotation.preference is None:
        detail = "; ".join(filter(None, (annotation.problem, reply_excerpt(annotation.raw))))
        return {"order": "unknown", "status": "unparsable", "preference": None, "detail": detail}
    preference = annotation.preference - 1
    identical = preference == 0.5 and annotation.candidate_text == annotation.baseline_text
    return {
        "order": order_of(annotation),
        "status": "tie" if preference == 0.5 else "ok",
        "preference": preference,
        "detail": IDENTICAL if identical else reply_excerpt(annotation.raw),
    }
