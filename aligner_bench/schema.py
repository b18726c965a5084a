"""The published shape of results: what ``leaderboard.json`` and the report are made from.

Rates are fractions in [0, 1] (omega in [-1, 1]) unless a field's description says percent.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aligner_bench.anatomy_rows import Anatomy, Change, Crossing, EditBin
from aligner_bench.cost_rows import CostRow
from aligner_bench.judges.canary_trials import CanaryRow
from aligner_bench.number import Number as Number
from aligner_bench.number import Published
from aligner_bench.panels import Panel
from aligner_bench.paper_rows import PaperRow
from aligner_bench.raters.shape import HarmRow, RaterPower
from aligner_bench.trajectory_rows import Actor, Effect, Example, Gain, Oracle, OrderUse
from aligner_bench.trend_rows import TrendRow

SCHEMA_VERSION = 1


class Tally(Published):
    """What became of the prompts of one comparison: every prompt is in exactly one of the first four."""

    n_total: int = Field(description="prompts in the suite; the flat leaderboard calls this n_prompts")
    n_wins: int
    n_draws: int
    n_wins_base: int
    n_failed: int = Field(description="prompts without a verdict, by any cause")
    failures: dict[str, int] = Field(description="status of the failed ones -> count")
    n_inconsistent: int = Field(
        description="pairs whose two orders disagree; also counted in the first three"
    )
    n_identical: int = Field(description="pairs whose texts are the same; counted as draws")

    @property
    def n(self) -> int:
        """Prompts with a verdict."""
        return self.n_wins + self.n_draws + self.n_wins_base


class Slice(Tally):
    """A comparison within one category."""

    category: str
    rates: dict[str, Number] = Field(description="definition -> rate")


class LengthControl(Published):
    """What is left of a win rate when the lengths of the answers are taken into account."""

    label: str = Field(description='the name to print: "LC (minimal)" on any suite but AlpacaEval\'s own')
    form: str
    rate: Number = Field(description="length-controlled rate; the interval contains the fit's uncertainty")
    extreme: bool = Field(description="AlpacaEval's warning: control moved the rate very far")
    matched: Number = Field(description="weighted rate among pairs of like length")
    quintiles: list[dict[str, float | int | None]] = Field(
        description="weighted rate by quintile of the length difference (characters, candidate - baseline)"
    )


class Comparison(Tally):
    """One candidate against one baseline, by one judge, on one suite."""

    suite: str
    judge: str
    system: str = Field(description="the candidate")
    baseline: str
    win_rate: float | None = Field(description="percent; AlpacaEval's name for the weighted rate")
    standard_error: float | None = Field(description="percent; sample sd of preferences / sqrt(n)")
    discrete_win_rate: float | None = Field(description="percent; ties count half")
    avg_length: int = Field(description="mean characters of the candidate's answers, truncated")
    avg_length_base: int
    orders: Literal[0, 1, 2] = Field(description="0: the judge has no order; 1: imported, one order only")
    rates: dict[str, Number]
    p_value: float | None = Field(description="exact McNemar test of wins against losses")
    mde: float | None = Field(description="least true difference from 0.5 found with 80 % power at this n")
    n_to_decide: int | None = Field(description="prompts that would decide an effect of the size seen")
    has_power: bool = Field(description="contract 6: may this row enter the headline and the gate?")
    conclusion: Literal["better", "worse", "undecided", "same", "no_power", "not_audited"]
    sentence: str = Field(description="the row in words")
    by_category: list[Slice]
    length: LengthControl | None = Field(None, description="None: too few pairs, or all verdicts the same")


class SystemRow(Published):
    """One system on one suite: what it answered, what that cost, and what its corrector mended or broke."""

    suite: str
    system: str
    kind: str = Field(description="upstream, resample, best_of_n, or the corrector's kind")
    upstream: str
    n_total: int
    statuses: dict[str, int] = Field(description="ok, empty, truncated, error, missing -> count")
    avg_length: float = Field(description="mean characters")
    accuracy: Number | None = Field(description="share right by the references, where the suite has them")
    unchanged: Number | None = Field(description="share of answers the corrector left as they were")
    repair: Number | None = Field(description="wrong upstream answers made right / wrong upstream answers")
    damage: Number | None = Field(description="right upstream answers made wrong / right upstream answers")
    n_repaired: int
    n_damaged: int
    repair_p_value: float | None = Field(description="exact McNemar test of repaired against damaged")
    calls: int
    prompt_tokens: int
    completion_tokens: int
    n_cut: int = Field(description="answers of which something was cut to fit a context")


class JudgePower(Published):
    """What a judge is worth: contract 6."""

    judge: str
    kind: str
    identity: str = Field(description="SHA-256 of everything that defines the judge")
    description: str
    accuracy: Number | None = Field(description="on pairs with a known winner")
    consistency: Number | None = Field(description="share of pairs whose two orders agree")
    first_slot: Number | None = Field(description="share of decided verdicts for the first slot")
    n_cut: int = Field(0, description="verdicts on texts that were cut to fit the judge")
    panel: Panel | None = Field(None, description="of an ensemble: how far its members agree")
    has_power: bool = Field(description="shown here; False for imported verdicts, whose judge was not tried")
    sentence: str

    @property
    def not_audited(self) -> bool:
        """Verdicts from elsewhere by a judge that was not tried here: neither with power nor without."""
        return self.kind in ("imported", "recorded") and self.accuracy is None and not self.has_power


class InspectorQuality(Published):
    """How well an inspector tells a better answer from a worse one, on pairs it was not trained on."""

    inspector: str
    identity: str
    accuracy: Number | None
    auc: float | None
    auc_length_matched: float | None
    n_pairs: int
    n_length_matched: int


class ScoreState(Published):
    """The distribution of one inspector's scores at one moment of a corrector's work."""

    suite: str
    system: str
    inspector: str
    state: Literal["start", "after_first", "end"]
    mean: Number
    quantiles: list[float] = Field(description="5, 25, 50, 75, 95 % quantiles")
    histogram: list[int] = Field(description="counts in 20 equal bins of [0, 1]")


class Copies(Published):
    """How many of a system's answers repeat those of the system it is compared with."""

    suite: str
    system: str
    reference: str = Field(description="the baseline")
    identical: int
    prefix_sharing: int = Field(description="first 100 characters are the same; identical ones included")
    n: int


class RefusalTransitions(Published):
    """Refusals before and after correction, by the rules of ``raters/refusal.py``.

    The last but one label is "compliant": rules cannot say whether such an answer does harm.
    """

    suite: str
    system: str
    labels: list[str] = Field(description="full, partial, compliant, failed: of rows and columns alike")
    counts: list[list[int]] = Field(description="row: the upstream's label; column: the corrected answer's")
    n: int
    full_before: Number = Field(description="share of full refusals among the upstream's answers")
    full_after: Number = Field(description="share of full refusals after correction")
    p_value: float = Field(description="exact McNemar test of full refusals begun against ended")


class SuiteInfo(Published):
    """Which prompts were used."""

    name: str
    version: str
    licence: str
    source: str
    content_hash: str
    n: int
    categories: list[str]
    relevant: list[str]


class Results(Published):
    """Every published number of a run. No times in it: the same work gives the same bytes."""

    schema_version: int = SCHEMA_VERSION
    experiment: str
    experiment_hash: str
    scale: Literal["full", "smoke"]
    level: float = 0.95
    suites: list[SuiteInfo]
    judges: list[JudgePower]
    inspectors: list[InspectorQuality]
    systems: list[SystemRow]
    rows: list[Comparison]
    trajectories: list[ScoreState]
    copies: list[Copies] = Field(
        default=[], description="only systems with another upstream than the reference"
    )
    refusals: list[RefusalTransitions] = Field(default=[], description="one for each corrected system")
    papers: list[PaperRow] = Field(default=[], description="ours next to the published table's")
    trends: list[TrendRow] = Field(default=[], description="preference against the aligner's size")
    costs: list[CostRow] = Field(default=[], description="systems by suite, judges, raters")
    raters: list[RaterPower] = Field(default=[], description="what the raters are worth")
    canaries: list[CanaryRow] = Field(default=[], description="what judges make of canary systems")
    harm: list[HarmRow] = Field(default=[], description="harmful answers by suite, rater and system")
    effects: list[Effect] = Field(default=[], description="aligner k on inspector j, from rewrites in traces")
    actors: list[Actor] = Field(default=[], description="who acted, skipped, was rejected, was picked")
    gains: list[Gain] = Field(default=[], description="what each step was worth")
    orders: list[OrderUse] = Field(default=[], description="orders in which squads' members were visited")
    oracles: list[Oracle] = Field(default=[], description="the gap to the best text that was in hands")
    examples: list[Example] = Field(default=[], description="the ways of a few answers, chosen by rule")
    anatomy: list[Anatomy] = Field(default=[], description="what rewrites look like, in all and by category")
    edit_bins: list[EditBin] = Field(default=[], description="win rate against the size of the edit")
    crossings: list[Crossing] = Field(default=[], description="repair and damage by inspectors' thresholds")
    changes: list[Change] = Field(default=[], description="better or worse than the upstream, by judge")
    headline: list[str] = Field(description="the result in words, most important first")
    warnings: list[str]
    definitions: dict[str, str] = Field(description="definition of each win rate -> words")
