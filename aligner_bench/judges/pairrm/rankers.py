"""Choose the implementation of a pair ranker."""

from __future__ import annotations

from aligner_bench.core.types import PairEngine
from aligner_bench.judges.pairrm.network import NativeRanker
from aligner_bench.judges.pairrm.spec import PairRMSpec


def make_ranker(spec: PairRMSpec) -> PairEngine:
    """Return the implementation that a spec requests, with its weights loaded."""
    if spec.backend == "llm_blender":
        from aligner_bench.judges.pairrm.blender import BlenderRanker

        return BlenderRanker(spec)
    return NativeRanker(spec)
