"""Canary checks of a run's judges, as rows of the run.

``judge audit`` makes the same checks without a run. The verdicts are stored here, so that the report shows
them and ``verify`` recomputes them.
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
    """Return canary and pair of every check: all canaries on each known pair of the judge's audit."""
    known = known_pairs(judge.needs_references, judge.audit_pairs) if judge.audit_pairs else []
    return [(canary.name, canary.play(one)) for canary in CANARIES for one in known]


def canary_rows(name: str, judge: Judge, services: Services) -> list[Row]:
    """Return the judge's verdicts as rows; ``candidate`` is the canary."""
    jobs = canary_pairs(judge)
    judged = judge.compare([pair for _, pair in jobs], services) if jobs else []
    return [
        {"judge": name, "canary": canary, "pair_id": pair.prompt_id, **asdict(verdict)}
        for (canary, pair), verdicts in zip(jobs, judged, strict=True)
        for verdict in verdicts
    ]
