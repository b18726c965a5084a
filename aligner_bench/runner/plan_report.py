"""The published form of a plan, which ``plan --format json`` prints."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from aligner_bench.engines.costs import FREE, KnownPrice
from aligner_bench.engines.memory import GIB
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.results.number import Published
from aligner_bench.runner.estimate import NOTHING, RULE, Expected
from aligner_bench.runner.plan import Plan
from aligner_bench.runner.schedule import loaded_models


class Taken(Published):
    """Upper bounds on calls, tokens and US dollars."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None = Field(description="None: a model has no known price; 0: own models, none to pay")

    @classmethod
    def of(cls, expected: Expected) -> Taken:
        """Convert an estimate to plain data; NaN becomes None."""
        usd = None if math.isnan(expected.usd) else expected.usd
        return cls(
            calls=expected.calls,
            prompt_tokens=expected.prompt_tokens,
            completion_tokens=expected.completion_tokens,
            usd=usd,
        )


class PlanSuite(Published):
    """A suite and the effect that its prompts can detect."""

    suite: str
    n: int
    detectable: float = Field(
        description="difference from 0.5 found with 80 % power where preferences have sd 0.5"
    )


class PlanStage(Published):
    """One stage of the plan, in execution order."""

    stage: str
    name: str = Field(description="model, inspector, judge or rater")
    items: int
    at_most: bool
    what: str
    takes: Taken


class PlanModel(Published):
    """One set of weights and all its items, in the order of first use."""

    names: list[str] = Field(description="models or inspectors; several where they are the same weights")
    items: int
    gib: float | None = Field(description="estimated memory; None: unknown before it is loaded; 0: none here")


class PlanReport(Published):
    """A complete plan."""

    schema_version: Literal[1] = 1
    experiment: str
    experiment_hash: str
    scale: Literal["full", "smoke"]
    rule: str = RULE
    suites: list[PlanSuite]
    stages: list[PlanStage]
    models: list[PlanModel]
    cells: int = Field(description="win rates: a comparison by a judge on a suite, or a category of it")
    paper: str | None = Field(description="the published table whose cells these are")
    profile: str = Field(description="how questions are put")
    total: Taken
    max_cost: float | None
    prices: dict[str, KnownPrice] = Field(description="of the models that cost money")
    unpriced: list[str] = Field(description="models whose price is not known")


def plan_report(experiment: Experiment, plan: Plan) -> PlanReport:
    """Return the plan with its totals and the prices used."""
    prices = experiment.known_prices()
    return PlanReport(
        experiment=experiment.name,
        experiment_hash=experiment.hash(),
        scale=experiment.scale,
        suites=[
            PlanSuite(suite=suite.name, n=len(suite), detectable=plan.detectable[suite.name])
            for suite in plan.suites
        ],
        stages=[
            PlanStage(
                stage=stage.stage,
                name=stage.name,
                items=stage.items,
                at_most=stage.at_most,
                what=stage.what,
                takes=Taken.of(stage.expected),
            )
            for stage in plan.stages
        ],
        models=[
            PlanModel(
                names=list(one.names),
                items=one.items,
                gib=None if one.size is None else round(one.size / GIB, 2),
            )
            for one in loaded_models(plan, experiment)
        ],
        cells=plan.cells,
        paper=experiment.paper.table if experiment.paper else None,
        profile=experiment.profile,
        total=Taken.of(sum((stage.expected for stage in plan.stages), NOTHING)),
        max_cost=experiment.max_cost,
        prices={name: known for name, known in prices.items() if known is not None and known != FREE},
        unpriced=[name for name, known in prices.items() if known is None],
    )
