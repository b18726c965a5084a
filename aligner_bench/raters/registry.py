"""Find raters by kind."""

from __future__ import annotations

from aligner_bench.core.registry import Registry

RATERS = Registry(
    "rater kind",
    "aligner_bench.raters",
    {
        "harm": "aligner_bench.raters.model_rater:HarmSpec",
        "attack_success": "aligner_bench.raters.model_rater:AttackSpec",
    },
)
