"""The base of everything that a user writes in a file: strict, frozen, and able to say what it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Self, get_args

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from aligner_bench.core.errors import nearest

Location = tuple[str | int, ...]


class Refers(NamedTuple):
    """Marks a field that holds a name which the experiment defines: of a model, an inspector, a judge."""

    what: str


ModelName = Annotated[str, Refers("model")]
InspectorName = Annotated[str, Refers("inspector")]
JudgeName = Annotated[str, Refers("judge")]
SuiteName = Annotated[str, Refers("suite")]
SystemName = Annotated[str, Refers("system")]


class Use(NamedTuple):
    """A name that a spec uses: where it stands in the spec, what it must be the name of."""

    at: Location
    what: str
    name: str


class Spec(BaseModel):
    """A part of a file. Unknown fields are errors that name the nearest valid one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def uses(self) -> Iterator[Use]:
        """Names that this spec and the specs in it refer to, from the fields marked with ``Refers``."""
        for name, field in type(self).model_fields.items():
            what = _referred(field.annotation, field.metadata)
            yield from _uses_in(getattr(self, name), what, (name,))

    def used(self, what: str) -> set[str]:
        """The distinct names of one sort: ``model``, ``inspector``, ``judge`` or ``suite``."""
        return {use.name for use in self.uses() if use.what == what}

    @model_validator(mode="wrap")
    @classmethod
    def _name_unknown_fields(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            faults = [_detailed(cls, dict(fault)) for fault in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(cls.__name__, faults) from None


def specs_in(value: Any) -> Iterator[Spec]:
    """A spec and all specs in it, or those in a mapping or sequence."""
    if isinstance(value, Spec):
        yield value
        value = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        yield from specs_in(item)


def _detailed(cls: type[BaseModel], fault: dict[str, Any]) -> InitErrorDetails:
    """One fault for re-raising; an unknown field gets the nearest field of its class."""
    kind, loc = fault["type"], tuple(fault["loc"])
    if kind == "extra_forbidden" and len(loc) == 1:
        message = f"unknown key; {nearest(str(loc[0]), cls.model_fields)}"
        return _init(PydanticCustomError("unknown_field", "{message}", {"message": message}), loc, fault)
    if "ctx" in fault and "message" in fault["ctx"]:
        return _init(PydanticCustomError(kind, "{message}", fault["ctx"]), loc, fault)
    if kind == "value_error":
        message = str(fault["ctx"]["error"])
        return _init(PydanticCustomError("value_error", "{message}", {"message": message}), loc, fault)
    return InitErrorDetails(type=kind, loc=loc, input=fault["input"], ctx=fault.get("ctx", {}))


def _init(error: PydanticCustomError, loc: Location, fault: Mapping[str, Any]) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=loc, input=fault["input"])


def _referred(annotation: Any, metadata: Any = ()) -> str | None:
    """What the names in a field of this type refer to; None where they refer to nothing."""
    for mark in (*metadata, *getattr(annotation, "__metadata__", ())):
        if isinstance(mark, Refers):
            return mark.what
    return next((found for inner in get_args(annotation) if (found := _referred(inner))), None)


def _uses_in(value: Any, what: str | None, at: Location) -> Iterator[Use]:
    if isinstance(value, Spec):
        for use in value.uses():
            yield use._replace(at=(*at, *use.at))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _uses_in(item, what, (*at, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _uses_in(item, what, (*at, i))
    elif isinstance(value, str) and what is not None:
        yield Use(at, what, value)
