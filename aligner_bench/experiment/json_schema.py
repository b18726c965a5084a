"""JSON Schema (draft 2020-12) of the files that users write, from the spec classes and the registries.

A kind is chosen by ``if``/``then`` on the field that holds it, so that an editor reports the faults of that
kind and not one fault for every kind. Only the loader checks what one field demands of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from aligner_bench.core.errors import UsageError
from aligner_bench.core.registry import PYTHON, SCHEMA_MARK, Kind

_REF = "#/$defs/{model}"
Json = dict[str, Any]


class FileSchema(NamedTuple):
    """A schema, and a line for each plug-in that could not be included."""

    schema: Json
    left_out: list[str]


class _Chosen(NamedTuple):
    """The kinds of one registry that can be used, with their classes."""

    base: type[Kind]
    classes: Mapping[str, type[BaseModel]]


class _Untitled(GenerateJsonSchema):
    """Without titles made of field names, which editors would show in place of the descriptions."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def file_schema(root: type[BaseModel], title: str, *, plugins: bool = True) -> FileSchema:
    """The schema of files that are read into ``root``; without ``plugins``, of built-in kinds only."""
    left_out: list[str] = []
    chosen: dict[str, _Chosen] = {}
    while True:
        classes = [root, *(cls for found in chosen.values() for cls in found.classes.values())]
        refs, defs = _definitions(dict.fromkeys(classes))
        new = {mark for mark in _marks(defs) if mark not in chosen}
        if not new:
            break
        for group in sorted(new):
            base = _base(group)
            chosen[group] = _Chosen(base, dict(_usable(base, plugins, left_out)))
    _name_kinds(chosen.values(), refs, defs)
    defs |= {group: _choice(found, refs) for group, found in chosen.items()}
    top = defs.pop(refs[root])
    head = {"$schema": GenerateJsonSchema.schema_dialect, **top, "title": title}
    return FileSchema(_resolved({**head, "$defs": dict(sorted(defs.items()))}), left_out)


def _definitions(classes: Iterable[type[BaseModel]]) -> tuple[dict[type[BaseModel], str], Json]:
    """Each class's name among the definitions, and the definitions of all classes together."""
    wanted = list(classes)
    refs, schema = models_json_schema(
        [(cls, "validation") for cls in wanted], ref_template=_REF, schema_generator=_Untitled
    )
    prefix = _REF.format(model="")
    return {cls: refs[cls, "validation"]["$ref"].removeprefix(prefix) for cls in wanted}, schema["$defs"]


def _base(group: str) -> type[Kind]:
    """The type of the fields that left a mark; it is imported, for the mark is made by it."""
    return next(cls for cls in Kind.__subclasses__() if cls.registry.group == group)


def _usable(base: type[Kind], plugins: bool, left_out: list[str]) -> Iterator[tuple[str, type[BaseModel]]]:
    """(kind, class) of every kind; what is wrong with the other plug-ins is added to ``left_out``."""
    registry = base.registry
    if not plugins:
        yield from ((kind, registry.get_built_in(kind)) for kind in registry.built_in)
        return
    for kind in registry.names():
        try:
            found = registry.get(kind, base)
        except UsageError as error:
            left_out.append(str(error))
            continue
        if kind not in registry.built_in and (fault := _fault(found)):
            left_out.append(f"the plug-in with the {registry.what} {kind!r} has no JSON Schema ({fault})")
            continue
        yield kind, found


def _fault(cls: type[BaseModel]) -> str:
    """Why a plug-in's class has no schema; empty where it has one."""
    try:
        cls.model_json_schema(schema_generator=_Untitled)
    except Exception as error:  # a plug-in's own types and hooks may raise anything
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


def _name_kinds(chosen: Iterable[_Chosen], refs: Mapping[type[BaseModel], str], defs: Json) -> None:
    """Each class's own field for the kind accepts the kinds that the class is found by."""
    for found in chosen:
        field = found.base.registry.field
        for cls in dict.fromkeys(found.classes.values()):
            kinds = [kind for kind, other in found.classes.items() if other is cls]
            properties = defs[refs[cls]]["properties"]
            properties[field] = {**properties.get(field, {}), "enum": kinds}


def _choice(found: _Chosen, refs: Mapping[type[BaseModel], str]) -> Json:
    """The schema where any kind of a registry may stand."""
    base, registry = found.base, found.base.registry
    field: Json = {
        "description": base.model_fields[registry.field].description,
        "type": "string",
        "anyOf": [{"enum": sorted(found.classes)}, {"pattern": f"^{PYTHON}"}],
    }
    choice: Json = {"type": "object", "properties": {registry.field: field}}
    if registry.default is None:
        choice["required"] = [registry.field]
    else:
        field["default"] = registry.default
    choice["allOf"] = [_rule(base, kind, refs[cls]) for kind, cls in sorted(found.classes.items())]
    short = base.short_form_schema()
    description = (base.__doc__ or "").partition("\n")[0]
    if short is None:
        return {"description": description, **choice}
    return {"description": description, "if": {"type": "object"}, "then": choice, "else": short}


def _rule(base: type[Kind], kind: str, name: str) -> Json:
    """A kind's own schema where the file names the kind, or names none and it is the default."""
    condition: Json = {"properties": {base.registry.field: {"const": kind}}}
    if kind != base.registry.default:
        condition["required"] = [base.registry.field]
    return {"if": condition, "then": {"$ref": _REF.format(model=name)}}


def _marks(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if SCHEMA_MARK in node:
            yield node[SCHEMA_MARK]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _marks(part)


def _resolved(node: Any) -> Any:
    """The same schema with a reference in place of each mark, and optional references as ``if``/``else``.

    In an ``anyOf`` with null, an editor would report that nothing fits instead of the fault in the part.
    """
    if isinstance(node, list):
        return [_resolved(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    if SCHEMA_MARK in node:
        node = {"$ref": _REF.format(model=node[SCHEMA_MARK]), **node}
    parts = {key: _resolved(part) for key, part in node.items() if key != SCHEMA_MARK}
    match parts.get("anyOf"):
        case [{"$ref": str()} as part, {"type": "null"}]:
            del parts["anyOf"]
            parts |= {"if": {"type": "null"}, "else": part}
    return parts
