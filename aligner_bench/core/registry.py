"""Find the class of a kind: built into a table, installed as a plug-in, or named by its Python path."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from aligner_bench.core.entry_points import distribution, points_of
from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.files import file_digest
from aligner_bench.core.spec import Spec, specs_in

PYTHON = "python:"
"""Begins a kind that is the path of a class."""
SCHEMA_MARK = "x-kind-of"
"""Stands in a JSON Schema where any kind of that sort may stand; ``experiment.json_schema`` resolves it."""


class Plugin(NamedTuple):
    """An installed plug-in: the kind, what brings it, and why it cannot be used (empty: it can)."""

    kind: str
    distribution: str
    version: str
    fault: str


class Registry:
    """Kinds of one sort. ``built_in`` maps a kind to ``module:Class``; nothing is imported before it is used.

    ``extras`` names the optional extra that a built-in kind needs. ``field`` is the field that holds the
    kind, ``default`` the kind where a file names none.
    """

    def __init__(
        self,
        what: str,
        group: str,
        built_in: Mapping[str, str],
        *,
        field: str = "kind",
        default: str | None = None,
        extras: Mapping[str, str] | None = None,
    ) -> None:
        self.what, self.group, self.built_in = what, group, built_in
        self.field, self.default, self.extras = field, default, extras or {}

    def names(self) -> list[str]:
        """All kinds: built in, and of installed plug-ins."""
        return sorted({*self.built_in, *(point.name for point in self._points())})

    def get(self, kind: str, base: type) -> type[Any]:
        """The class of a kind, a subclass of ``base``. UsageError where there is none, or several."""
        if kind.startswith(PYTHON):
            return self._from_python(kind, base)
        points = [point for point in self._points() if point.name == kind]
        if len(points) + (kind in self.built_in) > 1:
            raise UsageError(self._clash(kind, points))
        if kind in self.built_in:
            return self.get_built_in(kind)
        if not points:
            raise UsageError(f"unknown {self.what} {kind!r}; {self._hint(kind)}")
        return self._loaded(points[0], base)

    def get_built_in(self, kind: str) -> type[Any]:
        """The class of a built-in kind, plug-ins left aside. KeyError where there is none."""
        module, _, name = self.built_in[kind].partition(":")
        found: type[Any] = getattr(import_module(module), name)
        return found

    def origin(self, spec: object) -> dict[str, str]:
        """Distribution and version of the plug-in that a spec comes from; empty for what is built in.

        A class named by its Python path has that path, and the hash of its source as version.
        """
        kind = str(getattr(spec, self.field))
        if kind.startswith(PYTHON):
            return {"python": kind.removeprefix(PYTHON), "version": source_hash(type(spec))}
        point = None if kind in self.built_in else next((p for p in self._points() if p.name == kind), None)
        return dict(zip(("distribution", "version"), distribution(point), strict=True)) if point else {}

    def plugins(self, base: type) -> list[Plugin]:
        """Every installed plug-in, loaded to see whether it can be used."""
        found = []
        for point in self._points():
            fault = ""
            try:
                self.get(point.name, base)
            except UsageError as error:
                fault = str(error)
            found.append(Plugin(point.name, *distribution(point), fault))
        return found

    def _points(self) -> list[EntryPoint]:
        return points_of(self.group)

    def _loaded(self, point: EntryPoint, base: type) -> type[Any]:
        name, version = distribution(point)
        try:
            found = point.load()
        except Exception as error:  # a plug-in may raise anything at import
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(
                f"the plug-in {name} {version}, which brings the {self.what} {point.name!r}, "
                f"does not load ({reason})"
            ) from error
        return _checked(found, base, f"{point.value}, of the plug-in {name} {version},")

    def _from_python(self, kind: str, base: type) -> type[Any]:
        """A class by its path, ``python:package.module:Class``."""
        module, _, name = kind.removeprefix(PYTHON).partition(":")
        if not module or not name:
            raise UsageError(f"{kind!r} is no path of a class; expected python:package.module:Class")
        try:
            found = getattr(import_module(module), name)
        except Exception as error:  # the user's module may raise anything at import
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(f"{kind!r} cannot be imported ({reason})") from error
        return _checked(found, base, kind)

    def _clash(self, kind: str, points: list[EntryPoint]) -> str:
        owners = ["aligner-bench"] if kind in self.built_in else []
        owners += [" ".join(distribution(point)) for point in points]
        return f"the {self.what} {kind!r} is defined by {' and by '.join(owners)}; uninstall all but one"

    def _hint(self, kind: str) -> str:
        hint = nearest(kind, self.names())
        extra = next((e for name, e in self.extras.items() if hint == f"did you mean {name!r}?"), None)
        if extra is not None:
            return f"{hint} (pip install 'aligner-bench[{extra}]')"
        if hint.startswith("did you mean"):
            return hint
        return f"{hint}; others come from packages with the entry-point group {self.group}"


def _checked(found: object, base: type, where: str) -> type[Any]:
    if not isinstance(found, type) or not issubclass(found, base):
        raise UsageError(
            f"{where} is no {base.__name__}; expected a subclass of {base.__module__}.{base.__name__}"
        )
    return found


class Kind(Spec):
    """A spec whose class is chosen by the kind that it names.

    A direct subclass sets ``registry`` and is the type of fields: validated as that type, plain data becomes
    an instance of the class that the registry has for its kind.
    """

    registry: ClassVar[Registry]

    @classmethod
    def short_form(cls, value: object) -> object:
        """Plain data for a short form that files may use, such as a name alone."""
        return value

    @classmethod
    def short_form_schema(cls) -> dict[str, Any] | None:
        """JSON Schema of what ``short_form`` accepts beside a mapping; None where it is nothing."""
        return None

    @classmethod
    def _is_base(cls) -> bool:
        return "registry" in cls.__dict__

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not cls._is_base():
            return handler(source)
        return core_schema.with_info_plain_validator_function(
            cls._chosen, serialization=core_schema.simple_ser_schema("any")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if not cls._is_base():
            return handler(schema)
        return {SCHEMA_MARK: cls.registry.group}

    @classmethod
    def _chosen(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, cls):
            return value
        value = cls.short_form(value)
        if not isinstance(value, Mapping):
            raise ValueError(f"expected fields of a {cls.registry.what}, such as {cls.registry.field}: ...")  # noqa: TRY004
        data = dict(value)
        field = cls.registry.field
        kind = data.setdefault(field, cls.registry.default)
        if kind is None:
            del data[field]
            raise _at(cls, field, f"is missing; valid: {', '.join(cls.registry.names())}", value)
        try:
            chosen = cls.registry.get(str(kind), cls)
        except UsageError as error:
            raise _at(cls, field, str(error), kind) from error
        return chosen.model_validate(data, context=info.context)


def from_plugin(spec: Kind) -> dict[str, dict[str, str]]:
    """What an identity says of the plug-in that brings a spec; empty for what is built in."""
    origin = spec.registry.origin(spec)
    return {"plugin": origin} if origin else {}


def plugins_in(spec: Spec) -> list[dict[str, Any]]:
    """The plug-ins that a spec and the specs in it come from, for a manifest.

    Each has ``distribution`` (or the Python path), ``version`` and its ``kinds``, such as ``judges.length``.
    """
    kinds: dict[tuple[str, str], set[str]] = {}
    for registry, kind, origin in _from_outside(spec):
        name = origin.get("distribution") or PYTHON + origin["python"]
        kinds.setdefault((name, origin["version"]), set()).add(f"{registry.group.split('.')[-1]}.{kind}")
    return [
        {"distribution": name, "version": version, "kinds": sorted(found)}
        for (name, version), found in sorted(kinds.items())
    ]


def plugin_sources(spec: Spec) -> list[str]:
    """SHA-256 of each source file that a plug-in's kind in the spec is written in, sorted."""
    parts = [part for part in specs_in(spec) if isinstance(part, Kind) and part.registry.origin(part)]
    return sorted({source_hash(type(part)) for part in parts})


def source_hash(cls: type) -> str:
    """SHA-256 of the file that a class is written in."""
    return file_digest(Path(inspect.getfile(cls)))


def _from_outside(spec: Spec) -> Iterator[tuple[Registry, str, dict[str, str]]]:
    for part in specs_in(spec):
        if isinstance(part, Kind) and (origin := part.registry.origin(part)):
            yield part.registry, str(getattr(part, part.registry.field)), origin


def _at(cls: type, field: str, message: str, value: Any) -> ValidationError:
    fault = PydanticCustomError("kind", "{message}", {"message": message})
    return ValidationError.from_exception_data(
        cls.__name__, [{"type": fault, "loc": (field,), "input": value}]
    )
