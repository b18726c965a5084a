"""A run's judges tried on canaries: rows that stay with the run, and what they say of the judge.

``judge audit`` asks the same of a judge without a run. Here the verdicts are kept, so that the report shows
them and ``verify`` counts them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from aligner_bench.core.types import Pair, Services
from aligner_bench.judges.canaries import CANARIES, known_pairs
from aligner_bench.store.tables import Row

if TYPE_CHECKING:
    from aligner_bench.judges.base import Judge

Tables = Mapping[str, Sequence[Row]]


def canary_pairs(judge: Judge) -> list[tuple[str, Pair]]:
    """Canary and pair of every trial: all canaries on as many known pairs as the judge's audit has."""
    known = known_pairs(judge.needs_references, judge.audit_pairs) if judge.audit_pairs else []
    return [(canary.name, canary.play(one)) for canary in CANARIES for one in known]


def canary_rows(name: str, judge: Judge, services: Services) -> list[Row]:
    """The judge's verdicts; ``candidate`` is the canary."""
    jobs = canary_pairs(judge)
    judged = judge.compare([pair for _, pair in jobs], services) if jobs else []
    return [
        {"judge": name, "canary": canary, "pair_id": pair.prompt_id, **asdict(verdict)}
        for (canary, pair), verdicts in zip(jobs, judged, strict=True)
        for verdict in verdicts
    ]
