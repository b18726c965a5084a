"""Join the row models into the published results."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aligner_bench.results.anatomy import Anatomy, Change, Crossing, EditBin
from aligner_bench.results.canaries import CanaryRow
from aligner_bench.results.comparisons import Comparison
from aligner_bench.results.copies import Copies
from aligner_bench.results.costs import CostRow
from aligner_bench.results.effects import Actor, Effect
from aligner_bench.results.examples import Example
from aligner_bench.results.harm import HarmRow, RaterPower
from aligner_bench.results.inspectors import InspectorQuality
from aligner_bench.results.judges import JudgePower
from aligner_bench.results.measure import Setting
from aligner_bench.results.measures.systems import SUITE_N
from aligner_bench.results.number import Published
from aligner_bench.results.oracles import Oracle
from aligner_bench.results.papers import PaperRow
from aligner_bench.results.refusals import RefusalTransitions
from aligner_bench.results.scores import ScoreState
from aligner_bench.results.steps import Gain, OrderUse
from aligner_bench.results.systems import SystemRow
from aligner_bench.results.trends import TrendRow

SCHEMA_VERSION = 2


class SuiteInfo(Published):
    """One suite of the run."""

    name: str
    version: str
    licence: str
    source: str
    content_hash: str
    n: Annotated[int, SUITE_N]
    categories: list[str]
    relevant: list[str]


class Results(Published):
    """Every published number of a run; without times, so that the same work gives the same bytes."""

    schema_version: Annotated[int, Setting("version of this schema")] = SCHEMA_VERSION
    experiment: str
    experiment_hash: str
    scale: Literal["full", "smoke"]
    level: Annotated[float, Setting("confidence level of all intervals")] = 0.95
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
    papers: list[PaperRow] = Field(default=[], description="our rates next to the published table's")
    trends: list[TrendRow] = Field(default=[], description="preference against the aligner's size")
    costs: list[CostRow] = Field(default=[], description="systems by suite, judges, raters")
    raters: list[RaterPower] = Field(default=[], description="accuracy of the raters on known labels")
    canaries: list[CanaryRow] = Field(default=[], description="win rates of canary systems, by judge")
    harm: list[HarmRow] = Field(default=[], description="harmful answers by suite, rater and system")
    effects: list[Effect] = Field(default=[], description="aligner k on inspector j, from rewrites in traces")
    actors: list[Actor] = Field(
        default=[], description="how often each actor acted, skipped, was rejected, was picked"
    )
    gains: list[Gain] = Field(default=[], description="change of scores in each step")
    orders: list[OrderUse] = Field(default=[], description="orders in which squads' members were visited")
    oracles: list[Oracle] = Field(default=[], description="the gap to the best intermediate text")
    examples: list[Example] = Field(default=[], description="how a few answers moved, chosen by rule")
    anatomy: list[Anatomy] = Field(
        default=[], description="copies, edits and lengths, in all and by category"
    )
    edit_bins: list[EditBin] = Field(default=[], description="win rate against the size of the edit")
    crossings: list[Crossing] = Field(default=[], description="repair and damage by inspectors' thresholds")
    changes: list[Change] = Field(default=[], description="better or worse than the upstream, by judge")
    headline: list[str] = Field(description="the result in words, most important first")
    warnings: list[str]
    definitions: dict[str, str] = Field(description="definition of each win rate -> words")
