"""An experiment: a validated file, and what derives from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import PrivateAttr

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.hashing import digest
from aligner_bench.core.packaged import packaged_dir
from aligner_bench.core.spec import Location
from aligner_bench.core.yamlfile import YamlDocument, read_yaml, validated
from aligner_bench.engines.base import MODEL_DEFAULTS, ModelSpec
from aligner_bench.engines.costs import KnownPrice, price_of
from aligner_bench.experiment.checks import judge_faults
from aligner_bench.experiment.file import ExperimentFile
from aligner_bench.experiment.names import check_names
from aligner_bench.experiment.smoke import PREFIX, with_stand_ins
from aligner_bench.judges.base import Judge, JudgeContext, JudgeSpec
from aligner_bench.judges.remembering import remembering
from aligner_bench.suites.types import Suite

_SMOKE_ITEMS = 16
NOT_HASHED = ("name", "description", "max_cost")
"""Fields that do not affect a run's results."""
_NONE = object()


class Experiment(ExperimentFile):
    """A validated experiment file."""

    _scale: Literal["full", "smoke"] = PrivateAttr("full")
    _folder: Path | None = PrivateAttr(None)

    @classmethod
    def load(cls, path: str | Path, scale: Literal["full", "smoke"] = "full") -> Experiment:
        """Read and validate an experiment file, or a packaged one by name.

        At ``smoke`` scale it is replaced by its small stand-in, and requirements of the full one may be
        missing. Raises UsageError with a line per fault: file, line and field.
        """
        document = read_yaml(find_experiment(path), "an experiment file")
        experiment = validated(cls, document)
        check_names(experiment, document)
        experiment._folder = document.path.parent
        if scale == "smoke":
            experiment = experiment.smoke()
        _check_judges(experiment, document)
        return experiment

    @classmethod
    def stored(cls, data: dict[str, Any]) -> Experiment:
        """Return a manifest's experiment; runs of version 0.1 hold all engines' fields for each model."""
        models = {
            name: {field: value for field, value in spec.items() if value != MODEL_DEFAULTS.get(field, _NONE)}
            for name, spec in data["models"].items()
        }
        return cls.model_validate({**data, "models": models})

    @property
    def scale(self) -> Literal["full", "smoke"]:
        """``smoke`` where every model has been replaced by its small stand-in."""
        return self._scale

    def hash(self) -> str:
        """Return the SHA-256 of the file's content without name, description and cost limit."""
        return experiment_hash(self.model_dump(mode="json"), self._scale)

    def known_prices(self) -> dict[str, KnownPrice | None]:
        """Return every model's price; None where none is known."""
        models = self._judges_models() | self.models
        return {name: price_of(spec, self.prices.get(name)) for name, spec in models.items()}

    def limited(self, limit: int | None) -> Experiment:
        """Return the experiment with at most ``limit`` prompts from each suite. Raises UsageError below 1."""
        if limit is None:
            return self
        if limit < 1:
            raise UsageError(f"--limit must be at least 1, not {limit}")
        suites = [use.model_copy(update={"limit": min(use.limit or limit, limit)}) for use in self.suites]
        return self.model_copy(update={"suites": tuple(suites)})

    def smoke(self) -> Experiment:
        """Return the small stand-in: small models and few prompts, to test the whole pipeline."""
        small = with_stand_ins(self).limited(_SMOKE_ITEMS)
        small._scale = "smoke"
        return small

    def pairs(self) -> list[tuple[str, str]]:
        """Return (candidate, baseline) of every comparison, in order."""
        return [(c.candidate, baseline) for c in self.comparisons for baseline in c.baselines]

    def anchored_models(self) -> dict[str, ModelSpec]:
        """Return the models, including those that judges define, with paths relative to the experiment file.

        Resolved paths are not stored: neither hash nor manifest may depend on the location of the file.
        """
        own = {name: spec.anchored(self._anchor) for name, spec in self.models.items()}
        return self._judges_models() | own

    def anchored_judges(self) -> dict[str, JudgeSpec]:
        """Return the judges, with paths relative to the experiment file."""
        return {name: spec.anchored(self._anchor) for name, spec in self.judges.items()}

    def make_judges(self) -> dict[str, Judge]:
        """Return all judges by name; ensembles share the member judges with the experiment."""
        specs, models = self.anchored_judges(), self.anchored_models()
        single = {name: spec for name, spec in specs.items() if not spec.members()}
        made = {name: spec.make(JudgeContext(models)) for name, spec in single.items()}
        members = {member for spec in specs.values() for member in spec.members()}
        made |= {name: remembering(made[name]) for name in members}
        for name, spec in specs.items():
            if name not in single:
                made[name] = spec.make(JudgeContext(models, made))
        return {name: made[name] for name in specs}

    def load_suites(self, data_dir: Path | None = None) -> tuple[Suite, ...]:
        """Return the suites, limited as the file says. Raises UsageError where two have one name."""
        suites: list[Suite] = []
        for use in self.suites:
            suite = use.load(data_dir, self._anchor)
            if suite.name in [other.name for other in suites]:
                raise UsageError(f"the suite {suite.name!r} is named twice in this experiment")
            suites.append(suite.limit(use.limit, self.seed) if use.limit else suite)
        return tuple(suites)

    def _judges_models(self) -> dict[str, ModelSpec]:
        return {name: model for spec in self.judges.values() for name, model in spec.own_models().items()}

    def _anchor(self, path: Path) -> Path:
        return (self._folder or Path()) / path.expanduser()


def experiment_hash(data: Mapping[str, Any], scale: str) -> str:
    """Return the SHA-256 of an experiment's plain data without name, description and cost limit.

    Missing model fields of version 0.1 are filled with their defaults, so that hashes stay the same.
    """
    said = {key: value for key, value in data.items() if key not in NOT_HASHED}
    said["models"] = {name: MODEL_DEFAULTS | spec for name, spec in data["models"].items()}
    return digest([scale, said])


def find_experiment(path: str | Path) -> Path:
    """Return the path of an existing file, or of a packaged experiment by name. Raises UsageError."""
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
    """Raise UsageError with a line for each judge whose rubric, annotator or recording is missing."""
    faults = list(judge_faults(experiment.anchored_judges(), _written_as(experiment)))
    if faults:
        raise document.error(faults)


def _written_as(experiment: Experiment) -> dict[str, Location]:
    """Return the location of each judge in the file."""
    if experiment.scale == "full":
        return {name: ("judges", name) for name in experiment.judges}
    declared = experiment.stand_ins.judges
    return {
        name: ("stand_ins", "judges", name) if name in declared else ("judges", name.removeprefix(PREFIX))
        for name in experiment.judges
    }
