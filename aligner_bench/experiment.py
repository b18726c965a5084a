"""The experiment file: what it may say, and errors that name file, line and field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from aligner_bench.correctors.specs import CorrectorSpec
from aligner_bench.costs import KnownPrice, PriceSpec, price_of
from aligner_bench.engines.base import ModelSpec
from aligner_bench.engines.gguf import is_gguf
from aligner_bench.errors import UsageError, nearest
from aligner_bench.experiment_names import check_names
from aligner_bench.hashing import digest
from aligner_bench.inspectors.base import InspectorSpec
from aligner_bench.judges.references import (
    TINY,
    anchored,
    faults,
    live_model,
    own_models,
    stand_ins,
)
from aligner_bench.judges.specs import JudgeSpec
from aligner_bench.packaged import packaged_dir
from aligner_bench.paper_spec import PaperSpec
from aligner_bench.profiles import applied, capped
from aligner_bench.raters.specs import RaterSpec
from aligner_bench.suites.yamlfile import YamlDocument, read_yaml, validated
from aligner_bench.types import Decoding

Location = tuple[str | int, ...]
_SMOKE_ITEMS = 16
NOT_HASHED = ("name", "description", "max_cost")
"""Fields that change nothing of what a run finds."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteUse(_Spec):
    """A suite in an experiment. ``limit`` takes a seeded, category-balanced part of it."""

    name: str
    subset: str | None = None
    limit: int | None = Field(None, ge=1)
    max_new_tokens: int | None = Field(None, ge=1, description="for every system on this suite alike")


def _as_suite(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class UpstreamSystem(_Spec):
    """An upstream model, with or without a corrector."""

    kind: Literal["upstream"] = "upstream"
    upstream: str
    corrector: CorrectorSpec | None = None


class ResampleSystem(_Spec):
    """The upstream again with another seed: the A/A control."""

    kind: Literal["resample"]
    upstream: str
    seed: int = 1


class BestOfNSystem(_Spec):
    """Several samples of the upstream; the one with the highest mean inspector score answers."""

    kind: Literal["best_of_n"]
    upstream: str
    n: int = Field(4, ge=2)
    inspectors: tuple[str, ...] = Field(min_length=1)


System = UpstreamSystem | ResampleSystem | BestOfNSystem
_SYSTEM_KINDS: dict[str, type[BaseModel]] = {
    "upstream": UpstreamSystem,
    "resample": ResampleSystem,
    "best_of_n": BestOfNSystem,
}


def _as_system(value: object) -> object:
    """Choose the kind first, so that an error names the field of that kind and not of all three."""
    if not isinstance(value, dict):
        return value
    kind = value.get("kind", "upstream")
    if kind not in _SYSTEM_KINDS:
        raise ValueError(f"unknown kind {kind!r}: {nearest(str(kind), _SYSTEM_KINDS)}")
    return {"kind": kind, **value}


SystemSpec = Annotated[
    Annotated[System, Field(discriminator="kind")],
    BeforeValidator(_as_system),
]


class ComparisonSpec(_Spec):
    """A candidate against baselines, by some judges (all of them where none is named)."""

    candidate: str
    baselines: tuple[str, ...] = Field(min_length=1)
    judges: tuple[str, ...] = ()


class StandIns(_Spec):
    """What ``--scale smoke`` uses where small models are not enough: suites that ship, free judges."""

    suites: tuple[Annotated[SuiteUse, BeforeValidator(_as_suite)], ...] = ()
    judges: dict[str, JudgeSpec] = Field(
        {}, description="instead of all judges; the first makes the headline"
    )
    max_new_tokens: int | None = Field(None, ge=1, description="most that any model writes at once")


class Experiment(_Spec):
    """A whole experiment file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    seed: int = 0
    profile: str = Field("fair", description="how questions are put; see profiles.py")
    decoding: Decoding = Decoding()
    suites: tuple[Annotated[SuiteUse, BeforeValidator(_as_suite)], ...] = Field(min_length=1)
    models: dict[str, ModelSpec] = Field(min_length=1)
    inspectors: dict[str, InspectorSpec] = {}
    systems: dict[str, SystemSpec] = Field(min_length=1)
    judges: dict[str, JudgeSpec] = {}
    comparisons: tuple[ComparisonSpec, ...] = ()
    canaries: bool = Field(False, description="try judges on canary systems, too: seven times their audit")
    raters: dict[str, RaterSpec] = Field({}, description="models that label answers one by one: harm")
    headline: str | None = Field(None, description="the judge whose verdicts make the headline")
    prices: dict[str, PriceSpec] = Field({}, description="by model name; before the list that ships with us")
    max_cost: float | None = Field(None, gt=0, description="US dollars that one run may spend")
    paper: PaperSpec | None = Field(None, description="the published table that this experiment repeats")
    trends: dict[str, dict[str, float]] = Field(
        {}, description="name -> system -> parameters of its aligner: is more size more preference?"
    )
    stand_ins: StandIns = StandIns()

    _scale: Literal["full", "smoke"] = PrivateAttr("full")
    _folder: Path | None = PrivateAttr(None)

    @classmethod
    def load(cls, path: str | Path, scale: Literal["full", "smoke"] = "full") -> Experiment:
        """Read and check an experiment file, or a packaged one by name.

        At ``smoke`` scale it is swapped for its small stand-in, and what only the large one needs may be
        missing. Raises UsageError in one line with file, line and field.
        """
        document = read_yaml(find_experiment(path), "an experiment file")
        experiment = validated(cls, document)
        check_names(experiment, document)
        experiment._folder = document.path.parent
        if scale == "smoke":
            experiment = experiment.smoke()
        _check_judges(experiment, document)
        return experiment

    @property
    def scale(self) -> Literal["full", "smoke"]:
        """``smoke`` where every model has been swapped for its small stand-in."""
        return self._scale

    def hash(self) -> str:
        """SHA-256 of everything that the file says but its name, description and limit on spending."""
        return digest([self._scale, self.model_dump(mode="json", exclude=set(NOT_HASHED))])

    def known_prices(self) -> dict[str, KnownPrice | None]:
        """Every model's price; None where none is known."""
        models = own_models(self.judges) | self.models
        return {name: price_of(spec, self.prices.get(name)) for name, spec in models.items()}

    def limited(self, limit: int | None) -> Experiment:
        """At most ``limit`` prompts from each suite."""
        if limit is None:
            return self
        if limit < 1:
            raise UsageError(f"--limit must be at least 1, not {limit}")
        suites = [use.model_copy(update={"limit": min(use.limit or limit, limit)}) for use in self.suites]
        return self.model_copy(update={"suites": tuple(suites)})

    def smoke(self) -> Experiment:
        """Every model swapped for the small one it declares, few prompts: a test of the plumbing."""
        missing = [
            name for name, spec in self.models.items() if spec.smoke is None and spec.engine != "replay"
        ]
        if missing:
            raise UsageError(f"--scale smoke: models.{missing[0]} declares no smoke model")
        models = {
            name: spec
            if spec.engine == "replay"
            else ModelSpec(engine="hf", model=spec.smoke, chat=spec.chat, batch_size=spec.batch_size)
            for name, spec in self.models.items()
        }
        inspectors = {
            name: spec.model_copy(update={"model": spec.smoke}) if spec.smoke else spec
            for name, spec in self.inspectors.items()
        }
        swapped = {"models": models, "inspectors": inspectors, **self._stand_ins(live_model(models))}
        swapped |= {"prices": {}, "raters": self._stand_in_raters()}
        small = self.model_copy(update=swapped)._declared_stand_ins().limited(_SMOKE_ITEMS)
        small._scale = "smoke"
        return small

    def _stand_in_raters(self) -> dict[str, RaterSpec]:
        """Raters renamed whose model is swapped: no stand-in under a real name."""
        return {
            f"stand-in-for-{name}" if self._live(spec.model) else name: spec
            for name, spec in self.raters.items()
        }

    def _stand_ins(self, model: str) -> dict[str, Any]:
        """Judges' models swapped, their judges renamed: no stand-in under a real name."""
        judges, names = stand_ins(self.judges, model)
        return {
            "judges": judges,
            "comparisons": tuple(
                c.model_copy(update={"judges": tuple(names.get(name, name) for name in c.judges)})
                for c in self.comparisons
            ),
            "headline": names.get(self.headline, self.headline) if self.headline else None,
            "systems": {
                name: type(system).model_validate(_swapped(system.model_dump(), TINY))
                for name, system in self.systems.items()
            },
        }

    def _declared_stand_ins(self) -> Experiment:
        """The suites, judges and token limit that the file declares for smoke runs, in place of its own."""
        own, update = self.stand_ins, dict[str, Any]()
        if own.suites:
            update["suites"] = own.suites
        if own.judges:
            cleared = tuple(c.model_copy(update={"judges": ()}) for c in self.comparisons)
            update |= {"judges": own.judges, "headline": next(iter(own.judges)), "comparisons": cleared}
        if own.max_new_tokens:
            systems = capped(
                {name: system.model_dump() for name, system in self.systems.items()}, own.max_new_tokens
            )
            limit = min(self.decoding.max_new_tokens, own.max_new_tokens)
            update["systems"] = {n: type(self.systems[n]).model_validate(data) for n, data in systems.items()}
            update["decoding"] = self.decoding.model_copy(update={"max_new_tokens": limit})
        if self.paper and own.judges:
            update["paper"] = self.paper.model_copy(update={"judge": next(iter(own.judges))})
        return self.model_copy(update=update)

    def pairs(self) -> list[tuple[str, str]]:
        """(candidate, baseline) of every comparison, in order."""
        return [(c.candidate, baseline) for c in self.comparisons for baseline in c.baselines]

    def anchored_models(self) -> dict[str, ModelSpec]:
        """The models, with relative paths made relative to the experiment file.

        They are not stored that way: neither hash nor manifest should depend on where the file lies. With
        them come the models that AlpacaEval's annotators bring themselves.
        """
        return own_models(self.judges) | {
            name: spec.model_copy(update=self._anchored_files(spec)) for name, spec in self.models.items()
        }

    def _anchored_files(self, spec: ModelSpec) -> dict[str, Path | str]:
        files = {"path": spec.path, "lora": spec.lora}
        found: dict[str, Path | str] = {
            f: self._anchor(path) for f, path in files.items() if path is not None
        }
        if spec.model and is_gguf(spec.model):
            found["model"] = str(self._anchor(Path(spec.model)))
        return found

    def anchored_judges(self) -> dict[str, JudgeSpec]:
        """The judges, with relative paths made relative to the experiment file."""
        return {name: anchored(spec, self._anchor) for name, spec in self.judges.items()}

    def anchored_suite(self, use: SuiteUse) -> str:
        """A suite's name, or the path of its file, relative to the experiment file."""
        is_file = use.name.endswith((".yaml", ".yml"))
        return str(self._anchor(Path(use.name))) if is_file else use.name

    def _anchor(self, path: Path) -> Path:
        return (self._folder or Path()) / path.expanduser()

    @model_validator(mode="before")
    @classmethod
    def _with_profile(cls, data: Any) -> Any:
        return applied(data)

    @model_validator(mode="after")
    def _sampling_is_random(self) -> Self:
        for name, system in self.systems.items():
            if system.kind != "upstream" and self.decoding.temperature == 0 and self._live(system.upstream):
                raise ValueError(
                    f"systems.{name}: {system.kind} needs decoding.temperature above 0; "
                    "greedy samples are all the same"
                )
        return self

    def _live(self, model: str) -> bool:
        return model in self.models and self.models[model].engine != "replay"


def _swapped(value: Any, tiny: Mapping[str, Any]) -> Any:
    """Plain data with the fields of every pair ranker in it, however deep, replaced."""
    if isinstance(value, Mapping):
        found = {key: _swapped(item, tiny) for key, item in value.items()}
        return found | dict(tiny) if found.get("kind") == "pairrm" else found
    return [_swapped(item, tiny) for item in value] if isinstance(value, list | tuple) else value


def steering(system: System) -> set[str]:
    """The inspectors whose scores decide what a system answers."""
    if isinstance(system, BestOfNSystem):
        return set(system.inspectors)
    corrector = getattr(system, "corrector", None)
    return corrector.inspectors() if corrector is not None else set()


def find_experiment(path: str | Path) -> Path:
    """A path as it is, or a packaged experiment by name."""
    given = Path(path)
    if given.exists() or given.suffix in (".yaml", ".yml"):
        return given
    folder = packaged_dir("experiments")
    packaged = folder / f"{path}.yaml"
    if packaged.exists():
        return packaged
    names = [p.stem for p in folder.glob("*.yaml")]
    raise UsageError(f"no such experiment file: {path}; {nearest(str(path), names)}")


def _check_judges(experiment: Experiment, document: YamlDocument) -> None:
    """What a judge needs beside names (a rubric, an annotator, a recording) must be there."""
    declared = experiment.stand_ins.judges if experiment.scale == "smoke" else ()
    for name, field, problem in faults(experiment.anchored_judges()):
        own = name.removeprefix("stand-in-for-") if experiment.scale == "smoke" else name
        at = ("stand_ins", "judges", name, field) if name in declared else ("judges", own, field)
        raise UsageError(f"{document.path}:{document.line_of(at)}: {'.'.join(at)}: {problem}")
