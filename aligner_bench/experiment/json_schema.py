"""JSON Schema (draft 2020-12) of user-written files, from the spec classes and the registries.

A kind is selected by ``if``/``then`` on the field that names it, so that an editor reports the faults of
that kind and not one fault per kind. Dependencies between fields are checked by the loader only.
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
    """The usable kinds of one registry, with their classes."""

    base: type[Kind]
    classes: Mapping[str, type[BaseModel]]


class _Untitled(GenerateJsonSchema):
    """Generate no titles from field names, which editors would show instead of the descriptions."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return false."""
        return False


def file_schema(root: type[BaseModel], title: str, *, plugins: bool = True) -> FileSchema:
    """Return the schema of files that are read into ``root``, with built-in kinds and, if asked, plug-ins."""
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
    """Return each class's name among the definitions, and the definitions of all classes."""
    wanted = list(classes)
    refs, schema = models_json_schema(
        [(cls, "validation") for cls in wanted], ref_template=_REF, schema_generator=_Untitled
    )
    prefix = _REF.format(model="")
    return {cls: refs[cls, "validation"]["$ref"].removeprefix(prefix) for cls in wanted}, schema["$defs"]


def _base(group: str) -> type[Kind]:
    """Return the type of the fields that left a mark; importing it makes the mark."""
    return next(cls for cls in Kind.__subclasses__() if cls.registry.group == group)


def _usable(base: type[Kind], plugins: bool, left_out: list[str]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Return (kind, class) of every usable kind; append faults of other plug-ins to ``left_out``."""
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
    """Return why a plug-in's class has no schema; empty where it has one."""
    try:
        cls.model_json_schema(schema_generator=_Untitled)
    except Exception as error:  # a plug-in's own types and hooks may raise anything
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


def _name_kinds(chosen: Iterable[_Chosen], refs: Mapping[type[BaseModel], str], defs: Json) -> None:
    """Restrict each class's kind field to the kinds under which the class is registered."""
    for found in chosen:
        field = found.base.registry.field
        for cls in dict.fromkeys(found.classes.values()):
            kinds = [kind for kind, other in found.classes.items() if other is cls]
            properties = defs[refs[cls]]["properties"]
            properties[field] = {**properties.get(field, {}), "enum": kinds}


def _choice(found: _Chosen, refs: Mapping[type[BaseModel], str]) -> Json:
    """Return the schema of a field that accepts any kind of a registry."""
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
    """Return the rule that applies a kind's schema where the file names it or it is the default."""
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
    """Return the schema with references in place of marks, optional references as ``if``/``else``.

    With ``anyOf`` and null, an editor would report that nothing fits instead of the fault in the part.
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
