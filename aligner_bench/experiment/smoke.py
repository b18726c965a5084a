"""Replace an experiment's models and judges by small stand-ins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from aligner_bench.core.errors import UsageError
from aligner_bench.core.spec import Spec
from aligner_bench.experiment.file import ExperimentFile
from aligner_bench.experiment.profiles import with_token_limit
from aligner_bench.judges.base import JudgeSpec

PREFIX = "stand-in-for-"
"""Prefix of every judge and rater that differs from the file's."""
FileT = TypeVar("FileT", bound=ExperimentFile)
SpecT = TypeVar("SpecT", bound=Spec)


def with_stand_ins(file: FileT) -> FileT:
    """Return the experiment with every model, judge and rater replaced by its small stand-in.

    Raises UsageError where a model declares none.
    """
    models = {}
    for name, spec in file.models.items():
        try:
            models[name] = spec.stand_in()
        except UsageError as error:
            raise UsageError(f"--scale smoke: models.{name} {error}") from error
    live = next((name for name, spec in models.items() if spec.live), next(iter(models)))
    inspectors = {
        name: spec.model_copy(update={"model": spec.smoke}) if spec.smoke else spec
        for name, spec in file.inspectors.items()
    }
    update = {"models": models, "inspectors": inspectors, "prices": {}}
    update |= {"raters": _raters(file), **_judges(file, live)}
    return _with_declared_parts(file.model_copy(update=update))


def _raters(file: ExperimentFile) -> dict[str, Any]:
    """Return the raters, renamed where their model is replaced: no stand-in under a real name."""
    live = {name for name, spec in file.models.items() if spec.live}
    return {
        f"{PREFIX}{name}" if spec.used("model") & live else name: spec for name, spec in file.raters.items()
    }


def _judges(file: ExperimentFile, model: str) -> dict[str, Any]:
    """Return the judges on stand-in models, renamed: no stand-in under a real name."""
    names = {name: f"{PREFIX}{name}" for name, spec in file.judges.items() if spec.swapped_at_smoke}
    return {
        "judges": {names.get(n, n): spec.stand_in(model, names) for n, spec in file.judges.items()},
        "comparisons": tuple(
            c.model_copy(update={"judges": tuple(names.get(name, name) for name in c.judges)})
            for c in file.comparisons
        ),
        "headline": names.get(file.headline, file.headline) if file.headline else None,
        "systems": {name: _replace_judges(system, model) for name, system in file.systems.items()},
    }


def _replace_judges(spec: SpecT, model: str) -> SpecT:
    """Return the spec with every judge in it, at any depth, replaced by its stand-in."""

    def inner(value: Any) -> Any:
        if isinstance(value, JudgeSpec):
            return value.stand_in(model, {})
        if isinstance(value, Spec):
            return _replace_judges(value, model)
        if isinstance(value, Mapping):
            return {key: inner(item) for key, item in value.items()}
        return tuple(map(inner, value)) if isinstance(value, tuple) else value

    return spec.model_copy(update={name: inner(getattr(spec, name)) for name in type(spec).model_fields})


def _with_declared_parts(file: FileT) -> FileT:
    """Return the file with the suites, judges and token limit that it declares for smoke runs."""
    own, update = file.stand_ins, dict[str, Any]()
    if own.suites:
        update["suites"] = own.suites
    if own.judges:
        cleared = tuple(c.model_copy(update={"judges": ()}) for c in file.comparisons)
        update |= {"judges": own.judges, "headline": next(iter(own.judges)), "comparisons": cleared}
    if own.max_new_tokens:
        dumped = {name: system.model_dump() for name, system in file.systems.items()}
        systems = with_token_limit(dumped, own.max_new_tokens)
        limit = min(file.decoding.max_new_tokens, own.max_new_tokens)
        update["systems"] = {n: type(file.systems[n]).model_validate(data) for n, data in systems.items()}
        update["decoding"] = file.decoding.model_copy(update={"max_new_tokens": limit})
    if file.paper and own.judges:
        update["paper"] = file.paper.model_copy(update={"judge": next(iter(own.judges))})
    return file.model_copy(update=update)
