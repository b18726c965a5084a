"""The registry of judges."""

from __future__ import annotations

from aligner_bench.core.registry import Registry

JUDGES = Registry(
    "judge kind",
    "aligner_bench.judges",
    {
        "reference": "aligner_bench.judges.reference:ReferenceSpec",
        "inspector": "aligner_bench.judges.inspector:InspectorJudgeSpec",
        "logprob": "aligner_bench.judges.logprob:LogprobSpec",
        "pairrm": "aligner_bench.judges.pairrm.judge:PairRMJudgeSpec",
        "alpaca_eval": "aligner_bench.judges.alpaca_eval.judge:AlpacaEvalSpec",
        "rubric": "aligner_bench.judges.rubric:RubricSpec",
        "ensemble": "aligner_bench.judges.ensemble:EnsembleSpec",
        "replay": "aligner_bench.judges.replay:ReplayJudgeSpec",
    },
    extras={"alpaca_eval": "alpaca-eval", "pairrm": "pairrm"},
)
