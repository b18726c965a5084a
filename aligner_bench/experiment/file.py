"""The fields of an experiment file."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aligner_bench.core.spec import JudgeName, Spec, SystemName
from aligner_bench.core.types import Decoding
from aligner_bench.correctors.system import SystemSpec
from aligner_bench.engines.base import ModelSpec
from aligner_bench.engines.costs import PriceSpec
from aligner_bench.experiment.profiles import PROFILES, with_profile
from aligner_bench.inspectors.base import InspectorSpec
from aligner_bench.judges.base import JudgeSpec
from aligner_bench.papers.spec import PaperSpec
from aligner_bench.raters.base import RaterSpec
from aligner_bench.suites.use import SuiteUse


class ComparisonSpec(Spec):
    """A candidate against baselines, by the named judges (default: all)."""

    candidate: SystemName = Field(description="the system that is measured")
    baselines: tuple[SystemName, ...] = Field(min_length=1, description="the systems it is compared with")
    judges: tuple[JudgeName, ...] = Field((), description="judges of these comparisons; empty: all")


class StandIns(Spec):
    """Packaged suites and free judges for ``--scale smoke``, where small models are not enough."""

    suites: tuple[SuiteUse, ...] = Field((), description="instead of all suites")
    judges: dict[str, JudgeSpec] = Field(
        {}, description="instead of all judges; the first gives the headline"
    )
    max_new_tokens: int | None = Field(None, ge=1, description="maximum new tokens of any model")


class ExperimentFile(Spec):
    """A complete experiment file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run")
    description: str = Field("", description="for people")
    seed: int = Field(0, description="seed of sampling and of every random subset")
    profile: str = Field("fair", description="prompt profile", json_schema_extra={"enum": list(PROFILES)})
    decoding: Decoding = Field(Decoding(), description="how tokens are chosen, in every system")
    suites: tuple[SuiteUse, ...] = Field(min_length=1, description="prompts")
    models: dict[str, ModelSpec] = Field(min_length=1, description="engines with weights, by name")
    inspectors: dict[str, InspectorSpec] = Field({}, description="classifiers that score answers, by name")
    systems: dict[str, SystemSpec] = Field(min_length=1, description="what answers prompts, by name")
    judges: dict[str, JudgeSpec] = Field({}, description="what compares answers, by name")
    comparisons: tuple[ComparisonSpec, ...] = Field((), description="candidates and their baselines")
    canaries: bool = Field(False, description="check judges on canary systems; costs seven audits")
    raters: dict[str, RaterSpec] = Field({}, description="models that label answers one by one: harm")
    headline: JudgeName | None = Field(None, description="the judge whose verdicts give the headline")
    prices: dict[str, PriceSpec] = Field({}, description="by model name; overrides the packaged prices")
    max_cost: float | None = Field(None, gt=0, description="US dollars that one run may spend")
    paper: PaperSpec | None = Field(None, description="the published table that this experiment repeats")
    trends: dict[str, dict[str, float]] = Field(
        {}, description="trend tests: name -> system -> number of parameters of its aligner"
    )
    stand_ins: StandIns = Field(StandIns(), description="what --scale smoke uses instead")

    @model_validator(mode="before")
    @classmethod
    def _with_profile(cls, data: Any) -> Any:
        return with_profile(data)
