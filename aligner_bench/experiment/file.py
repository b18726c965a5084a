"""Define the fields of an experiment file."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aligner_bench.core.spec import JudgeName, Spec, SystemName
from aligner_bench.core.types import Decoding
from aligner_bench.correctors.system import SystemSpec
from aligner_bench.engines.base import ModelSpec
from aligner_bench.engines.costs import PriceSpec
from aligner_bench.experiment.profiles import PROFILES, applied
from aligner_bench.inspectors.base import InspectorSpec
from aligner_bench.judges.base import JudgeSpec
from aligner_bench.papers.spec import PaperSpec
from aligner_bench.raters.base import RaterSpec
from aligner_bench.suites.use import SuiteUse


class ComparisonSpec(Spec):
    """A candidate against baselines, by some judges (all of them where none is named)."""

    candidate: SystemName = Field(description="the system that is measured")
    baselines: tuple[SystemName, ...] = Field(min_length=1, description="the systems it is compared with")
    judges: tuple[JudgeName, ...] = Field((), description="judges of these comparisons; empty: all")


class StandIns(Spec):
    """What ``--scale smoke`` uses where small models are not enough: suites that ship, free judges."""

    suites: tuple[SuiteUse, ...] = Field((), description="instead of all suites")
    judges: dict[str, JudgeSpec] = Field(
        {}, description="instead of all judges; the first makes the headline"
    )
    max_new_tokens: int | None = Field(None, ge=1, description="most that any model writes at once")


class ExperimentFile(Spec):
    """A whole experiment file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run")
    description: str = Field("", description="for people")
    seed: int = Field(0, description="seed of sampling and of every drawn part")
    profile: str = Field(
        "fair", description="how questions are put", json_schema_extra={"enum": list(PROFILES)}
    )
    decoding: Decoding = Field(Decoding(), description="how tokens are chosen, for every system alike")
    suites: tuple[SuiteUse, ...] = Field(min_length=1, description="prompts")
    models: dict[str, ModelSpec] = Field(min_length=1, description="engines with weights, by name")
    inspectors: dict[str, InspectorSpec] = Field({}, description="classifiers that score answers, by name")
    systems: dict[str, SystemSpec] = Field(min_length=1, description="what answers prompts, by name")
    judges: dict[str, JudgeSpec] = Field({}, description="what compares answers, by name")
    comparisons: tuple[ComparisonSpec, ...] = Field((), description="who is compared with whom")
    canaries: bool = Field(False, description="try judges on canary systems, too: seven times their audit")
    raters: dict[str, RaterSpec] = Field({}, description="models that label answers one by one: harm")
    headline: JudgeName | None = Field(None, description="the judge whose verdicts make the headline")
    prices: dict[str, PriceSpec] = Field({}, description="by model name; before the list that ships with us")
    max_cost: float | None = Field(None, gt=0, description="US dollars that one run may spend")
    paper: PaperSpec | None = Field(None, description="the published table that this experiment repeats")
    trends: dict[str, dict[str, float]] = Field(
        {}, description="name -> system -> parameters of its aligner: is more size more preference?"
    )
    stand_ins: StandIns = Field(StandIns(), description="what --scale smoke uses instead")

    @model_validator(mode="before")
    @classmethod
    def _with_profile(cls, data: Any) -> Any:
        return applied(data)
