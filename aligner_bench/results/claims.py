"""List the claims: every published number under a path, with the query that made it.

A path names list items by their keys, never by position:
``rows[suite=hand,judge=facts,system=new,baseline=base].rates.strict.value``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from aligner_bench.results.places import measures_by_place, origins
from aligner_bench.results.schema import Results

_KEYS = (
    "name",
    "suite",
    "judge",
    "rater",
    "inspector",
    "system",
    "baseline",
    "candidate",
    "state",
    "category",
    "actor",
    "prompt_id",
    "order",
    "bin",
)
_RELATIVE = 1e-9
_ABSENT = object()


class Claim(NamedTuple):
    """One published value: its path, the value, and the query that made it."""

    path: str
    value: Any
    query: str


class _Leaf(NamedTuple):
    """A scalar of nested data; ``place`` is its path without item names, ``where`` the items' keys."""

    path: str
    value: Any
    place: str
    where: tuple[tuple[str, str], ...]


def claims(results: Results | Mapping[str, Any]) -> list[Claim]:
    """List every leaf of the results: numbers, and the sentences that are made from them."""
    data = results.model_dump(mode="json") if isinstance(results, Results) else results
    return [Claim(leaf.path, leaf.value, _query(leaf)) for leaf in _leaves(data, "", "", ())]


def leaves(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of every scalar in nested JSON data; empty containers count as values."""
    return ((leaf.path, leaf.value) for leaf in _leaves(node, "", "", ()))


def _leaves(node: Any, path: str, place: str, where: tuple[tuple[str, str], ...]) -> Iterator[_Leaf]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(
                value, f"{path}.{key}" if path else str(key), f"{place}.{key}" if place else str(key), where
            )
    elif isinstance(node, list) and node:
        for name, item in _named(node):
            yield from _leaves(item, f"{path}[{name}]", place, (*where, *_keys(item)))
    else:
        yield _Leaf(path, node, place, where)


def _named(items: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    seen: dict[str, int] = {}
    for i, item in enumerate(items):
        name = _name(item) or str(i)
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name},#{seen[name]}"), item


def _name(item: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in _keys(item))


def _keys(item: Any) -> tuple[tuple[str, str], ...]:
    found = dict(item) if isinstance(item, Mapping | BaseModel) else {}
    return tuple((key, found[key]) for key in _KEYS if isinstance(found.get(key), str))


def same(a: Any, b: Any) -> bool:
    """Compare values; floats within 1e-9 of each other, since another processor may round the last digit."""
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, int | float):
        return type(a) is type(b) and a == b
    return isinstance(b, int | float) and math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=1e-12)


def differing(where: str, written: Mapping[str, Any], made: Iterable[Claim]) -> Iterator[str]:
    """Yield one line for every path whose written value is not the one that the rows give."""
    expected = {claim.path: claim.value for claim in made}
    for path in dict.fromkeys([*expected, *written]):
        ours, theirs = expected.get(path, _ABSENT), written.get(path, _ABSENT)
        if not same(ours, theirs):
            yield short(f"{where}: {path} is {_words(theirs)}, the rows give {_words(ours)}")


def _words(value: Any) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


def short(line: str, limit: int = 300) -> str:
    """Shorten a text to one line of at most ``limit`` characters."""
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def paths_by_identity(results: Results) -> dict[int, str]:
    """Map ``id`` of every model in the results -> its path, for views that mark what they print."""
    found: dict[int, str] = {}
    _collect(results, "", found)
    return found


def _collect(node: Any, path: str, found: dict[int, str]) -> None:
    if isinstance(node, BaseModel):
        found[id(node)] = path
        node = {field: getattr(node, field) for field in type(node).model_fields}
    if isinstance(node, dict):
        for key, value in node.items():
            _collect(value, f"{path}.{key}" if path else str(key), found)
    elif isinstance(node, list):
        for name, item in _named(node):
            _collect(item, f"{path}[{name}]", found)


def _query(leaf: _Leaf) -> str:
    """The query of a value: ``FUNCTION(VALUES) over TABLE where ...``."""
    section = leaf.place.partition(".")[0]
    origin = origins().get(section)
    if origin is None or not leaf.where:
        return f"results.compute: {section}"
    condition = " and ".join(f"{origin.columns.get(key, key)} = {value!r}" for key, value in leaf.where)
    return f"{_function(leaf.place)} over {origin.table} where {condition}"


def _function(place: str) -> str:
    """The call of the measure at the place or above it; the field's name where there is none."""
    steps = place.split(".")
    for end in range(len(steps), 0, -1):
        measure = measures_by_place().get(".".join(steps[:end]))
        if measure is not None:
            return measure.query
    return steps[1]


def pack(found: Sequence[Claim], renderer: str) -> str:
    """Encode the claims as base64 of compressed ASCII JSON, which is inert inside HTML."""
    data = json.dumps({"renderer": renderer, "claims": found}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(data.encode("ascii"), 9)).decode("ascii")


def unpack(text: str) -> dict[str, Any]:
    """Read the output of ``pack``. ValueError for anything else."""
    try:
        found = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (binascii.Error, zlib.error) as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("claims"), list):
        raise ValueError("holds no claims")  # noqa: TRY004 - what was decoded is data, not an argument
    return found
