"""Find where each measure is published, by a walk over the row models of ``Results``.

A place is a path without the names of list items, such as ``rows.by_category.rates.strict``.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from aligner_bench.results.measure import Keyed, Measure, Setting
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.results.schema import Results


class Place(NamedTuple):
    """A published numeric field; ``measure`` is None where the field has none, or is a setting."""

    path: str
    measure: Measure | None
    setting: Setting | None


def places(model: type[BaseModel] = Results) -> list[Place]:
    """List every numeric field that the model publishes, mappings with known keys by key."""
    return list(_of_model(model, ""))


@functools.cache
def measures_by_place() -> Mapping[str, Measure]:
    """Map path -> measure, for all fields of ``Results`` that have one."""
    return {place.path: place.measure for place in places() if place.measure is not None}


@functools.cache
def origins() -> Mapping[str, Origin]:
    """Map section of ``Results`` -> the table that its rows are made from."""
    found = {}
    for name, field in Results.model_fields.items():
        for model in _models(field.annotation):
            if issubclass(model, Published) and model.origin is not None:
                found[name] = model.origin
    return found


def published_at() -> dict[str, list[str]]:
    """Map name of a measure -> the places where it is published."""
    found: dict[str, list[str]] = {}
    for path, measure in measures_by_place().items():
        found.setdefault(measure.name, []).append(path)
    return found


def _of_model(model: type[BaseModel], path: str) -> Iterator[Place]:
    for name, field in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        marks = [mark for mark in field.metadata if isinstance(mark, Measure | Keyed | Setting)]
        if marks and isinstance(marks[0], Keyed):
            yield from (Place(f"{here}.{key}", m, None) for key, m in marks[0].measures.items())
        elif marks:
            mark = marks[0]
            yield Place(
                here, mark if isinstance(mark, Measure) else None, mark if isinstance(mark, Setting) else None
            )
        elif _is_number(field.annotation):
            yield Place(here, None, None)
        else:
            for inner in _models(field.annotation):
                yield from _of_model(inner, here)


def _is_number(annotation: Any) -> bool:
    """Whether a type holds numbers by itself, without another row model in between."""
    if get_origin(annotation) is Literal:
        return False
    parts = get_args(annotation)
    return annotation in (int, float, Number) or any(map(_is_number, parts))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (list, dict, tuple, Union, types.UnionType, Annotated):
        for part in get_args(annotation):
            yield from _models(part)
