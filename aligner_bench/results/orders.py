"""Summarise verdicts by order, under each policy for inconsistent pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from aligner_bench.core.preferences import combine
from aligner_bench.core.types import Verdict
from aligner_bench.results.number import Number


def by_order(
    verdicts: Sequence[Sequence[Verdict]],
) -> tuple[list[float], list[float], list[int], dict[str, int]]:
    """Split preferences into first and second place; return them, the pairs that have both, and failures.

    A judge without order gives the same number twice.
    """
    first, second, kept, failures = [], [], [], Counter[str]()
    for i, one in enumerate(verdicts):
        found = combine([asdict(verdict) for verdict in one])
        if found.value is None:
            failures[found.status] += 1
            continue
        by_order = {v.order: float(v.preference) for v in one if v.preference is not None}
        first.append(by_order.get("candidate_first", found.value))
        second.append(by_order.get("baseline_first", found.value))
        kept.append(i)
    return first, second, kept, dict(sorted(failures.items()))


def policies(first: Sequence[float], second: Sequence[float]) -> dict[str, Number]:
    """Compute the candidate's win rate under each tie policy, from preferences in first and second place."""
    from aligner_bench.stats.judge_power import tie_policies

    return {name: Number.of(estimate) for name, estimate in tie_policies(first, second).items()}
