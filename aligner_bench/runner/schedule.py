"""Schedule by model: how often each is used, its memory, and whether all fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aligner_bench.core.errors import UsageError
from aligner_bench.core.hashing import digest
from aligner_bench.engines.base import ModelSpec, make_engine
from aligner_bench.engines.memory import GIB
from aligner_bench.inspectors.base import inspector_identity
from aligner_bench.inspectors.classifier import classifier_bytes
from aligner_bench.runner.residency import weights_key

if TYPE_CHECKING:
    from aligner_bench.experiment.experiment import Experiment
    from aligner_bench.runner.plan import Plan


class Loaded(NamedTuple):
    """One set of weights: its names, planned items, and estimated bytes (None: unknown)."""

    names: tuple[str, ...]
    items: int
    size: int | None


def memory_limit(gib: float | None) -> int | None:
    """Return the bytes of ``--memory``. Raises UsageError where it is not above 0."""
    if gib is None:
        return None
    if not gib > 0:
        raise UsageError(f"--memory {gib:g}: expected GiB above 0")
    return int(gib * GIB)


def planned_items(plan: Plan, experiment: Experiment) -> dict[str, int]:
    """Return the items of each model and inspector over all stages.

    An upper bound where scores decide who acts.
    """
    named = {*experiment.models, *experiment.inspectors}
    items: dict[str, int] = {}
    for stage in plan.stages:
        if stage.name in named:
            items[stage.name] = items.get(stage.name, 0) + stage.items
    return items


def loaded_models(plan: Plan, experiment: Experiment) -> list[Loaded]:
    """Return what a run loads, in the order of first use; names of the same weights are merged."""
    found: dict[str, Loaded] = {}
    for name, count in planned_items(plan, experiment).items():
        key, size = _weights(experiment, name)
        known = found.get(key, Loaded((), 0, size))
        found[key] = Loaded((*known.names, name), known.items + count, size)
    return list(found.values())


def _weights(experiment: Experiment, name: str) -> tuple[str, int | None]:
    """Return a key for a set of weights, and its bytes (0: none on this machine; None: unknown).

    Planning works where models or their engines are missing: a model that is not found is listed without a
    size, and a model whose engine is not installed is listed by itself.
    """
    try:
        if name in experiment.inspectors:
            inspector = experiment.inspectors[name]
            return digest(inspector_identity(inspector)), classifier_bytes(inspector)
        spec = experiment.anchored_models()[name]
        size = spec.resident_bytes()
    except UsageError:
        return name, None
    unknown = size == 0 and spec.holds_weights
    return _model_key(spec) or name, None if unknown else size


def _model_key(spec: ModelSpec) -> str | None:
    try:
        return weights_key(make_engine(spec).identity())
    except UsageError:
        return None
