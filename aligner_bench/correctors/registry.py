"""The registries of correctors and systems."""

from __future__ import annotations

from aligner_bench.core.registry import Registry

CORRECTORS = Registry(
    "corrector kind",
    "aligner_bench.correctors",
    {
        "identity": "aligner_bench.correctors.identity:IdentitySpec",
        "aligner": "aligner_bench.correctors.aligner:AlignerSpec",
        "squad": "aligner_bench.correctors.squad:SquadSpec",
        "chain": "aligner_bench.correctors.compose:ChainSpec",
        "repeat": "aligner_bench.correctors.compose:RepeatSpec",
        "gated": "aligner_bench.correctors.compose:GatedSpec",
        "routed": "aligner_bench.correctors.compose:RoutedSpec",
        "parallel": "aligner_bench.correctors.parallel:ParallelSpec",
    },
)

SYSTEMS = Registry(
    "system kind",
    "aligner_bench.systems",
    {
        "upstream": "aligner_bench.correctors.system:UpstreamSystem",
        "resample": "aligner_bench.correctors.system:ResampleSystem",
        "best_of_n": "aligner_bench.correctors.best_of_n:BestOfNSystem",
    },
    default="upstream",
)
