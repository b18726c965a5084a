"""Run folders of graded answers and verdicts written down by hand: no model, no judge, any family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aligner_bench.runs import Run
from tests.correctors.handmade import make_run

Pair = tuple[float | None, float | None]


def ids(n: int) -> list[str]:
    """p000, p001, ..."""
    return [f"p{i:03}" for i in range(n)]


def prompts(n: int, families: Sequence[str] | None = None, categories: Sequence[str] | None = None):
    """n prompts of the suite ``s``, all to be answered with "yes"."""
    return [
        {
            "suite": "s", "prompt_id": p, "prompt": f"Question {p}?", "criterion": "helpful", "history": "[]",
            "category": categories[i] if categories else "all", "family": families[i] if families else None,
            "references": ["yes"],
        }
        for i, p in enumerate(ids(n))
    ]  # fmt: skip


def responses(system: str, hits: Sequence[bool], before: Sequence[bool] | None = None):
    """Answers that are right where ``hits`` says so; ``before``: the upstream's."""
    rows = []
    for i, (p, hit) in enumerate(zip(ids(len(hits)), hits, strict=True)):
        kind = "upstream" if before is None else "aligner"
        upstream, known = (None, None) if before is None else ("yes" if before[i] else "no", bool(before[i]))
        rows.append(
            {
                "suite": "s", "prompt_id": p, "system": system, "kind": kind, "upstream_model": "up",
                "text": "yes" if hit else "no", "correct": bool(hit), "upstream": upstream,
                "upstream_correct": known, "status": "ok", "trace": "[]", "finish_reason": "stop",
                "calls": 1, "prompt_tokens": 1, "completion_tokens": 1, "cut_tokens": 0, "seconds": 0.0,
                "cost": 0.0, "error": "",
            }
        )  # fmt: skip
    return rows


def verdicts(
    preferences: Sequence[float | Pair | None], candidate="new", baseline="base", judge="facts", same=()
):
    """A number is a verdict without order; a pair is the two orders. ``same``: prompts of identical texts."""
    rows = []
    for p, given in zip(ids(len(preferences)), preferences, strict=True):
        orders: Mapping[str, float | None]
        if isinstance(given, tuple):
            orders = dict(zip(("candidate_first", "baseline_first"), given, strict=True))
        else:
            orders = {"none": given}
        for order, value in orders.items():
            status = "error" if value is None else "tie" if value == 0.5 else "ok"
            detail = "identical texts" if p in same else "by hand"
            rows.append(
                {
                    "suite": "s", "prompt_id": p, "judge": judge, "candidate": candidate, "order": order,
                    "baseline": baseline, "status": status, "preference": value, "detail": detail,
                }
            )  # fmt: skip
    return rows


def graded_run(folder: Path, hits: Sequence[bool], **given: Any) -> Run:
    """A run of the system ``new`` with these right answers; for the rest see ``prompts``."""
    return make_run(folder, prompts(len(hits), **given), responses("new", hits))
