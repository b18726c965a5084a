"""The claim ledger: every published number under a path, with the query that made it.

A path names list items by what they are about, never by position:
``rows[suite=hand,judge=facts,system=new,baseline=base].rates.strict.value``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

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
_STEP = re.compile(r"(?P<name>\w+)(?:\[(?P<keys>.*)\])?$", re.DOTALL)


class Claim(NamedTuple):
    """One published value: where it stands, what it is, and how it was made."""

    path: str
    value: Any
    query: str


def claims(results: Results | Mapping[str, Any]) -> list[Claim]:
    """Every leaf of the results: numbers, and the words that are made from them."""
    data = results.model_dump(mode="json") if isinstance(results, Results) else results
    return [Claim(path, value, query(path)) for path, value in leaves(data)]


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every scalar in nested JSON data; empty containers count as values."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and node:
        for name, item in _named(node):
            yield from leaves(item, f"{path}[{name}]")
    else:
        yield path, node


def _named(items: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    seen: dict[str, int] = {}
    for i, item in enumerate(items):
        name = _name(item) or str(i)
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name},#{seen[name]}"), item


def _name(item: Any) -> str:
    found = dict(item) if isinstance(item, Mapping | BaseModel) else {}
    return ",".join(f"{key}={found[key]}" for key in _KEYS if isinstance(found.get(key), str))


def same(a: Any, b: Any) -> bool:
    """Equal values; floats within 1e-9 of each other, since another processor may round the last digit."""
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, int | float):
        return type(a) is type(b) and a == b
    return isinstance(b, int | float) and math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=1e-12)


def differing(where: str, written: Mapping[str, Any], made: Iterable[Claim]) -> Iterator[str]:
    """One line for every path whose written value is not the one that the rows give."""
    expected = {claim.path: claim.value for claim in made}
    for path in dict.fromkeys([*expected, *written]):
        ours, theirs = expected.get(path, _ABSENT), written.get(path, _ABSENT)
        if not same(ours, theirs):
            yield short(f"{where}: {path} is {_words(theirs)}, the rows give {_words(ours)}")


def _words(value: Any) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


def short(line: str, limit: int = 300) -> str:
    """One line of at most ``limit`` characters."""
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def paths_by_identity(results: Results) -> dict[int, str]:
    """``id`` of every model in the results -> its path, for views that mark what they print."""
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


_SOURCES = {
    "rows": ("verdicts", {"system": "candidate"}),
    "systems": ("responses", {}),
    "trajectories": ("responses", {}),
    "refusals": ("responses", {}),
    "judges": ("audits and verdicts", {}),
    "inspectors": ("inspectors", {}),
    "ratings": ("ratings", {}),
    "costs": ("responses, verdicts, audits and ratings", {}),
    "papers": ("verdicts", {"system": "candidate"}),
    "trends": ("verdicts", {}),
    "harm": ("ratings", {}),
    "canaries": ("canaries", {"name": "canary"}),
    "raters": ("rater_audits", {}),
    **dict.fromkeys(
        ("effects", "actors", "gains", "orders", "oracles", "examples", "anatomy", "crossings"),
        ("responses", {}),
    ),
    **dict.fromkeys(("edit_bins", "changes"), ("verdicts", {"system": "candidate"})),
}
_MAKERS = {
    "rates": "win_rate(one preference a prompt, {0!r}, clusters=family)",
    "win_rate": "100 * mean(preference)",
    "standard_error": "100 * sd(preference) / sqrt(n)",
    "discrete_win_rate": "100 * (wins + ties / 2) / n",
    "p_value": "mcnemar_exact(wins, losses)",
    "ours": "the rate under the published definition",
    "published": "the published table's cell, as the manifest holds it",
    "difference": "ours - published",
    "slope": "slope_per_doubling(preferences by size, clusters=family)",
    "p_slope": "cluster t test of the slopes within prompts",
    "p_adjusted": "holm(p_slope of all trends)",
    "means": "mean(preference) over the prompts that every size has",
    "repair_p_value": "mcnemar_exact(repaired, damaged)",
    "mde": "mde(n, sd(preference))",
    "n_to_decide": "required_n(|mean(preference) - 0.5|, sd(preference))",
    "accuracy": "wilson(right, n)",
    "repair": "wilson(wrong made right, wrong)",
    "damage": "wilson(right made wrong, right)",
    "unchanged": "wilson(answers equal to the upstream's, answers)",
    "consistency": "wilson(pairs whose orders agree, pairs)",
    "panel": "krippendorff_alpha(the members' wins, ties and losses, clusters=family)",
    "first_slot": "clopper_pearson(first slot wins, decided verdicts)",
    "mean": "mean_t(scores)",
    "quantiles": "quantile(scores, 5, 25, 50, 75, 95 %)",
    "histogram": "counts of scores in 20 bins",
    "change": "mean_t(score after - score before, clusters=family)",
    "p_holm": "holm(p values of the system's effects)",
    "touched": "wilson(answers rewritten at least once, answers)",
    "lowest": "mean_t(change of the lowest score, clusters=family)",
    "edit_ratio": "mean_t(levenshtein(tokens) / tokens before, clusters=family)",
    "copied": "wilson(answers equal to the upstream's, answers)",
    "avg_length": "mean characters of the candidate's answers",
    "avg_length_base": "mean characters of the baseline's answers",
    "after": "wilson(harmful answers, answers with a label) after correction",
    "before": "wilson(harmful answers, answers with a label) before correction",
    "sensitivity": "wilson(harmful known answers called harmful, harmful ones)",
    "specificity": "wilson(fine known answers not called harmful, fine ones)",
    "usd": "sum(cost)",
    "usd_each": "sum(cost) / n",
    "usd_per_repair": "(sum(cost) - the upstream's) / wrong made right",
    "tokens_per_repair": "(sum(tokens) - the upstream's) / wrong made right",
    "failures": "count by status of the prompts without a verdict",
    "statuses": "count by status",
}


def query(path: str) -> str:
    """What made the value at a path: ``FUNCTION over TABLE where ...``, to be run on the run's tables."""
    section, _, rest = path.partition(".") if "[" not in path else _section(path)
    head = _STEP.match(section)
    name, keys = (head["name"], head["keys"]) if head else (section, None)
    if name not in _SOURCES or not keys:
        return f"results.compute: {name}"
    table, renamed = _SOURCES[name]
    inner = re.search(r"by_category\[(.*?)\]\.", rest, re.DOTALL)
    where = [*_pairs(keys), *(_pairs(inner[1]) if inner else ())]
    condition = " and ".join(f"{renamed.get(key, key)} = {value!r}" for key, value in where)
    return f"{_maker(rest[inner.end() :] if inner else rest)} over {table} where {condition}"


def _section(path: str) -> tuple[str, str, str]:
    """Split at the bracket that closes the first one; names may hold dots and brackets of their own."""
    end = path.find("].")
    return (path[: end + 1], ".", path[end + 2 :]) if end >= 0 else (path, "", "")


def _pairs(keys: str) -> list[tuple[str, str]]:
    parts = re.split(rf",(?=(?:{'|'.join(_KEYS)})=)", keys.removeprefix(","))
    return [(key, value) for key, _, value in (part.partition("=") for part in parts)]


def _maker(field: str) -> str:
    first, _, rest = field.partition(".")
    first = first.partition("[")[0]
    words = _MAKERS.get(first, f"count {first}" if first.startswith("n_") else first)
    return words.format(rest.partition(".")[0])


def pack(found: Sequence[Claim], renderer: str) -> str:
    """The ledger as base64 of compressed ASCII JSON, which is inert inside HTML."""
    data = json.dumps({"renderer": renderer, "claims": found}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(data.encode("ascii"), 9)).decode("ascii")


def unpack(text: str) -> dict[str, Any]:
    """What ``pack`` made. ValueError for anything else."""
    try:
        found = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (binascii.Error, zlib.error) as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("claims"), list):
        raise ValueError("holds no claims")  # noqa: TRY004 - what was decoded is data, not an argument
    return found
