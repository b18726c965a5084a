"""What a judge's spec refers to: names of the experiment, files, packages; checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aligner_bench.errors import UsageError
from aligner_bench.judges.specs import (
    TINY_RANKER,
    AlpacaEvalSpec,
    EnsembleSpec,
    InspectorJudgeSpec,
    JudgeSpec,
    LogprobSpec,
    PairRMSpec,
    ReplayJudgeSpec,
    RubricSpec,
)

if TYPE_CHECKING:
    from aligner_bench.engines.base import ModelSpec

TINY: dict[str, Any] = {
    "model": TINY_RANKER,
    "backend": "native",
    "dtype": "float32",
    **dict.fromkeys(("revision", "family")),
}
"""What makes a pair ranker's spec that of its stand-in."""
_PREFIX = "recorded"


class Reference(NamedTuple):
    """A name that a spec uses: in which field, and what it must be the name of."""

    field: str
    what: str
    name: str


def references(spec: JudgeSpec) -> list[Reference]:
    """The models, inspectors and judges that a spec names."""
    if isinstance(spec, InspectorJudgeSpec):
        return [Reference("inspectors", "inspector", name) for name in spec.inspectors]
    if isinstance(spec, EnsembleSpec):
        return [Reference("judges", "judge", name) for name in spec.judges]
    if isinstance(spec, LogprobSpec | RubricSpec | AlpacaEvalSpec) and spec.model:
        return [Reference("model", "model", spec.model)]
    return []


def anchored(spec: JudgeSpec, anchor: Callable[[Path], Path]) -> JudgeSpec:
    """The spec with the files it names made relative to the experiment file."""
    if isinstance(spec, ReplayJudgeSpec):
        return spec.model_copy(update={"path": anchor(spec.path)})
    if isinstance(spec, RubricSpec) and spec.rubric.endswith((".yaml", ".yml")):
        return spec.model_copy(update={"rubric": str(anchor(Path(spec.rubric)))})
    return spec


def own_models(judges: Mapping[str, JudgeSpec]) -> dict[str, ModelSpec]:
    """The models that AlpacaEval's annotators bring themselves, where no other is named."""
    specs = [s for s in judges.values() if isinstance(s, AlpacaEvalSpec) and s.model is None]
    if not specs:
        return {}
    from aligner_bench.judges.alpaca_eval import own_model

    return dict(own_model(spec) for spec in specs)


def faults(judges: Mapping[str, JudgeSpec]) -> Iterator[tuple[str, str, str]]:
    """(judge, field, what is wrong) of judges that could not be made. ``judges`` are anchored."""
    for name, spec in judges.items():
        fault = _fault(name, spec, judges)
        if fault:
            yield name, *fault


def _fault(name: str, spec: JudgeSpec, judges: Mapping[str, JudgeSpec]) -> tuple[str, str] | None:
    if isinstance(spec, EnsembleSpec):
        nested = [member for member in spec.judges if isinstance(judges[member], EnsembleSpec)]
        doubled = len(set(spec.judges)) < len(spec.judges)
        if nested:
            return "judges", f"{nested[0]} is an ensemble itself; name its members"
        return ("judges", "names a judge twice; each has one vote") if doubled else None
    if isinstance(spec, ReplayJudgeSpec) and not name.startswith(_PREFIX):
        return "kind", f"recorded verdicts do not print under a judge's own name; call it {_PREFIX}-{name}"
    try:
        _make(spec)
    except UsageError as error:
        return _FIELDS.get(type(spec), "kind"), str(error)
    return None


_FIELDS: Mapping[type[Any], str] = {
    AlpacaEvalSpec: "annotator",
    RubricSpec: "rubric",
    ReplayJudgeSpec: "path",
}


def _make(spec: JudgeSpec) -> None:
    """Whatever can be wrong with a spec by itself is wrong here; models and weights are not touched."""
    if isinstance(spec, AlpacaEvalSpec):
        from aligner_bench.judges.alpaca_eval import alpaca_eval_judge

        alpaca_eval_judge(spec, {})
    elif isinstance(spec, RubricSpec):
        from aligner_bench.judges.rubric import rubric_judge

        rubric_judge(spec)
    elif isinstance(spec, ReplayJudgeSpec) and not spec.path.exists():
        raise UsageError(f"{spec.path}: no such file or folder; expected a run, or annotations.json")


class StandIns(NamedTuple):
    """The judges of ``--scale smoke``, and the new names of those that are not what they were."""

    judges: dict[str, JudgeSpec]
    names: dict[str, str]


def live_model(models: Mapping[str, ModelSpec]) -> str:
    """The first model that can be asked anything; the first of all where none can."""
    return next((name for name, spec in models.items() if spec.engine != "replay"), next(iter(models)))


def stand_ins(judges: Mapping[str, JudgeSpec], model: str) -> StandIns:
    """Judges with their models swapped, renamed: no stand-in under a real name.

    ``model`` stands in for an annotator's own. A judge that only refers to a model of the experiment is asked
    of that model's own stand-in.
    """
    swapped = (PairRMSpec, AlpacaEvalSpec, RubricSpec)
    names = {name: f"stand-in-for-{name}" for name, spec in judges.items() if isinstance(spec, swapped)}
    return StandIns({names.get(n, n): _stand_in(spec, model, names) for n, spec in judges.items()}, names)


def _stand_in(spec: JudgeSpec, model: str, names: Mapping[str, str]) -> JudgeSpec:
    if isinstance(spec, PairRMSpec):
        return spec.model_copy(update=TINY)
    if isinstance(spec, AlpacaEvalSpec) and spec.model is None:
        return spec.model_copy(update={"model": model})
    if isinstance(spec, EnsembleSpec):
        return spec.model_copy(update={"judges": tuple(names.get(name, name) for name in spec.judges)})
    return spec
