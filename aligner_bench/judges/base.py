"""The contract of a judge, and the way from an experiment's words to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aligner_bench.errors import UsageError
from aligner_bench.judges.specs import (
    AlpacaEvalSpec,
    EnsembleSpec,
    InspectorJudgeSpec,
    JudgeSpec,
    LogprobSpec,
    PairRMSpec,
    ReferenceSpec,
    ReplayJudgeSpec,
    RubricSpec,
)
from aligner_bench.types import Pair, Services, Verdict

if TYPE_CHECKING:
    from aligner_bench.engines.base import ModelSpec
    from aligner_bench.experiment import Experiment

IDENTICAL = "identical texts"
CUT = "cut to fit"
"""In the detail of a verdict on texts that were too long for the judge; such verdicts are counted."""


class Judge(Protocol):
    """Compares pairs. It is tried on ``audit_pairs`` pairs with a known winner (0: it needs no audit)."""

    @property
    def description(self) -> str:
        """What it is, for people."""

    @property
    def audit_pairs(self) -> int:
        """How many pairs with a known winner it is tried on."""

    @property
    def needs_references(self) -> bool:
        """Can it only judge prompts that have reference answers?"""

    def identity(self, services: Services) -> dict[str, Any]:
        """Everything that decides a verdict: model, prompt, parser, decoding."""

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """For each pair its verdicts: one in each order, or one where order means nothing."""


def make_judge(spec: JudgeSpec, models: Mapping[str, ModelSpec] | None = None) -> Judge:
    """The judge that a spec describes; ``models`` are those of its experiment.

    UsageError where the spec needs something that is not there. An ensemble is made by ``make_judges``.
    """
    if isinstance(spec, AlpacaEvalSpec):
        from aligner_bench.judges.alpaca_eval import alpaca_eval_judge

        return alpaca_eval_judge(spec, models or {})
    if isinstance(spec, RubricSpec):
        from aligner_bench.judges.rubric import rubric_judge

        return rubric_judge(spec)
    if isinstance(spec, ReplayJudgeSpec):
        from aligner_bench.judges.replay import ReplayJudge

        return ReplayJudge(spec)
    if isinstance(spec, EnsembleSpec):
        raise UsageError("an ensemble judges only where its members do, as a judge of an experiment")
    return _scoring(spec)


def _scoring(spec: ReferenceSpec | InspectorJudgeSpec | LogprobSpec | PairRMSpec) -> Judge:
    """Judges that compute, where the others write."""
    if isinstance(spec, LogprobSpec):
        from aligner_bench.judges.logprob import LogprobJudge

        return LogprobJudge(spec)
    if isinstance(spec, InspectorJudgeSpec):
        from aligner_bench.judges.inspector import InspectorJudge

        return InspectorJudge(spec)
    if isinstance(spec, PairRMSpec):
        from aligner_bench.judges.pairrm import PairRMJudge

        return PairRMJudge(spec)
    from aligner_bench.judges.reference import ReferenceJudge

    return ReferenceJudge()


def make_judges(experiment: Experiment) -> dict[str, Judge]:
    """All judges of an experiment by name, ensembles over the same members that judge by themselves."""
    from aligner_bench.judges.ensemble import EnsembleJudge, remembering

    specs, models = experiment.anchored_judges(), experiment.anchored_models()
    ensembles = {name: spec for name, spec in specs.items() if isinstance(spec, EnsembleSpec)}
    made: dict[str, Judge] = {n: make_judge(s, models) for n, s in specs.items() if n not in ensembles}
    made |= {name: remembering(made[name]) for spec in ensembles.values() for name in spec.judges}
    for name, spec in ensembles.items():
        made[name] = EnsembleJudge(spec, {member: made[member] for member in spec.judges})
    return {name: made[name] for name in specs}


def identical_tie(order_free: bool) -> list[Verdict]:
    """The verdicts of two equal texts: ties, without asking anybody."""
    if order_free:
        return [Verdict("none", "tie", 0.5, IDENTICAL)]
    return [
        Verdict("candidate_first", "tie", 0.5, IDENTICAL),
        Verdict("baseline_first", "tie", 0.5, IDENTICAL),
    ]
