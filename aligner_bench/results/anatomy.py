"""Compute the anatomy of rewrites: what is copied, changed, added and removed, and win rates by edit size.

Answers with an upstream answer and no failure count; ``n_left_out`` is the number of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from aligner_bench.core.preferences import Preference, combine
from aligner_bench.results.measure import Measure
from aligner_bench.results.measures import traces as m
from aligner_bench.results.measures.comparisons import (
    CHANGED_BETTER,
    CHANGED_SAME,
    CHANGED_WORSE,
    EDIT_BIN_RATE,
)
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.store.tables import Row, group
from aligner_bench.store.traces import read_trace
from aligner_bench.texts.edits import Edit, edit

ALL = "all"
"""The category of a row that is about all prompts."""


class Anatomy(Published):
    """How a corrector's answers differ from the upstream's. Lengths are in tokens: ``edits.TOKENISER``."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    category: str = Field(description='a category, or "all"')
    n: Annotated[int, m.N_REWRITES]
    n_left_out: Annotated[int, m.N_LEFT_OUT]
    n_copied: Annotated[int, m.N_COPIED]
    copied: Annotated[Number, m.COPIED]
    edit_ratio: Annotated[Number, m.EDIT_RATIO]
    edit_median: Annotated[float, m.EDIT_MEDIAN]
    kept: Annotated[Number, m.KEPT]
    removed: Annotated[Number, m.REMOVED]
    added: Annotated[Number, m.ADDED]
    length_before: Annotated[Number, m.LENGTH_BEFORE]
    length_after: Annotated[Number, m.LENGTH_AFTER]
    length_ratio: Annotated[Number, m.LENGTH_RATIO]


class EditBin(Published):
    """The win rate among the answers that were rewritten to one extent."""

    origin: ClassVar = Origin("verdicts", {"system": "candidate"})
    suite: str
    judge: str
    system: str = Field(description="the candidate, a corrected system")
    baseline: str
    bin: str = Field(description="range of the edit ratio")
    rate: Annotated[Number, EDIT_BIN_RATE, Field(description="n is the prompts with a verdict")]


class Crossing(Published):
    """Repair and damage by one inspector: answers that cross its threshold."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    category: str = Field(description='a category, or "all"')
    inspector: str
    threshold: Annotated[float, m.THRESHOLD]
    repair: Annotated[Number, m.CROSSING_REPAIR]
    damage: Annotated[Number, m.CROSSING_DAMAGE]


class Change(Published):
    """Repair and damage by a judge: the corrected answer against the upstream's own."""

    origin: ClassVar = Origin("verdicts", {"system": "candidate"})
    suite: str
    judge: str
    system: str
    baseline: str = Field(description="the same upstream without a corrector")
    better: Annotated[Number, CHANGED_BETTER]
    same: Annotated[Number, CHANGED_SAME]
    worse: Annotated[Number, CHANGED_WORSE]


Tables = Mapping[str, Sequence[Row]]
_LOST = ("error", "missing")
_BINS: tuple[tuple[str, float], ...] = (
    ("unchanged", 0.0),
    ("up to 0.1", 0.1),
    ("0.1 to 0.3", 0.3),
    ("0.3 to 0.6", 0.6),
    ("0.6 to 1", 1.0),
    ("above 1", float("inf")),
)


class _Rewrite(NamedTuple):
    """One answer's edit, with the prompt's category and family."""

    edit: Edit
    copied: bool
    category: str
    family: str


Rewrites = Mapping[str, _Rewrite]
Prompts = Mapping[tuple[str, str], Row]
Judged = tuple[str, str, dict[str, Preference]]


def anatomy_tables(tables: Tables) -> dict[str, list[Any]]:
    """Compute all tables of this module, by their names in the results."""
    prompts = {(row["suite"], row["prompt_id"]): row for row in tables["prompts"]}
    verdicts = group(tables["verdicts"], "suite", "candidate")
    kinds = group(tables["responses"], "suite", "upstream_model", "kind", "system")
    found: dict[str, list[Any]] = {"anatomy": [], "edit_bins": [], "crossings": [], "changes": []}
    for (suite, system), rows in group(tables["responses"], "suite", "system").items():
        rewrites, lost = _rewrites(suite, rows, prompts)
        if not rewrites:
            continue
        found["anatomy"] += _anatomies(suite, system, rewrites, lost)
        found["crossings"] += _crossings(suite, system, rows, prompts)
        judged = list(_preferences(verdicts.get((suite, system), ())))
        plain = {key[3] for key in kinds if key[:3] == (suite, rows[0]["upstream_model"], "upstream")}
        found["edit_bins"] += _edit_bins(suite, system, rewrites, judged)
        found["changes"] += _changes(suite, system, plain, judged)
    return found


def _rewrites(
    suite: str, rows: Sequence[Row], prompts: Prompts
) -> tuple[dict[str, _Rewrite], dict[str, int]]:
    """By prompt_id; and by category how many answers are left out."""
    found: dict[str, _Rewrite] = {}
    lost: dict[str, int] = {}
    for row in rows:
        prompt = prompts[suite, row["prompt_id"]]
        if row["upstream"] is None or row["status"] in _LOST:
            lost[prompt["category"]] = lost.get(prompt["category"], 0) + 1
            continue
        found[row["prompt_id"]] = _Rewrite(
            edit(row["upstream"], row["text"]),
            row["upstream"] == row["text"],
            prompt["category"],
            prompt["family"] or row["prompt_id"],
        )
    return found, lost


def _anatomies(suite: str, system: str, rewrites: Rewrites, lost: Mapping[str, int]) -> Iterator[Anatomy]:
    """All prompts together, then each category."""
    every = [rewrites[key] for key in sorted(rewrites)]
    yield _anatomy(suite, system, ALL, every, sum(lost.values()))
    categories = sorted({rewrite.category for rewrite in every})
    for category in categories if len(categories) > 1 else ():
        part = [rewrite for rewrite in every if rewrite.category == category]
        yield _anatomy(suite, system, category, part, lost.get(category, 0))


def _anatomy(suite: str, system: str, category: str, part: Sequence[_Rewrite], lost: int) -> Anatomy:
    families = [rewrite.family for rewrite in part]

    def number(measure: Measure) -> Number:
        return measure.number(measure.of_rows(part), families)

    return Anatomy(
        suite=suite,
        system=system,
        category=category,
        n=len(part),
        n_left_out=lost,
        n_copied=m.COPIED.total(part),
        copied=number(m.COPIED),
        edit_ratio=number(m.EDIT_RATIO),
        edit_median=m.EDIT_MEDIAN(m.EDIT_RATIO.of_rows(part)),
        kept=number(m.KEPT),
        removed=number(m.REMOVED),
        added=number(m.ADDED),
        length_before=number(m.LENGTH_BEFORE),
        length_after=number(m.LENGTH_AFTER),
        length_ratio=m.LENGTH_RATIO(
            [(rewrite.edit.before, rewrite.edit.after) for rewrite in part], families
        ),
    )


def _crossings(suite: str, system: str, rows: Sequence[Row], prompts: Prompts) -> Iterator[Crossing]:
    """For every inspector with a threshold in the traces that scored both the start and the end.

    All prompts together, then each category where there are several.
    """
    found: dict[tuple[str, float, str], list[tuple[bool, bool]]] = {}
    for row in rows:
        trace = read_trace(row["trace"])
        if trace.start is None or not trace.moves or row["status"] in _LOST:
            continue
        bounds = {(m.inspector, m.threshold) for m in trace.moves if m.inspector and m.threshold is not None}
        for inspector, bound in bounds:
            scores = trace.scores, trace.moves[-1].after
            if bound is not None and all(inspector in part for part in scores):
                low = [part[inspector] < bound for part in scores]
                category = prompts[suite, row["prompt_id"]]["category"]
                for name in {ALL, category}:  # one name where the suite has no categories of its own
                    found.setdefault((inspector, bound, name), []).append((low[0], low[1]))
    several = len({name for _, _, name in found}) > 2
    for inspector, bound, name in sorted(found, key=lambda key: (key[2] != ALL, key)):
        if name == ALL or several:
            pairs = found[inspector, bound, name]
            yield _crossing({"suite": suite, "system": system, "category": name}, inspector, bound, pairs)


def _crossing(
    keys: Mapping[str, str], inspector: str, bound: float, pairs: Sequence[tuple[bool, bool]]
) -> Crossing:
    """``pairs``: of each answer, whether it was below the bound at the start, and at the end."""
    return Crossing(
        **keys,
        inspector=inspector,
        threshold=bound,
        repair=m.CROSSING_REPAIR.number([float(not after) for before, after in pairs if before]),
        damage=m.CROSSING_DAMAGE.number([float(after) for before, after in pairs if not before]),
    )


def _preferences(verdicts: Sequence[Row]) -> Iterator[Judged]:
    """Judge, baseline and preferences by prompt_id of every comparison among these verdicts."""
    for (judge, baseline), rows in group(verdicts, "judge", "baseline").items():
        yield judge, baseline, {key[0]: combine(pair) for key, pair in group(rows, "prompt_id").items()}


def _edit_bins(suite: str, system: str, rewrites: Rewrites, judged: Sequence[Judged]) -> Iterator[EditBin]:
    for judge, baseline, preferences in judged:
        bins: dict[str, list[tuple[float, str]]] = {name: [] for name, _ in _BINS}
        for key in sorted(preferences):
            value = preferences[key].value
            if value is not None and key in rewrites:
                bins[_bin(rewrites[key])].append((value, rewrites[key].family))
        for name, part in bins.items():
            if part:
                values, families = zip(*part, strict=True)
                rate = EDIT_BIN_RATE.number(values, families)
                keys = {"suite": suite, "judge": judge, "system": system, "baseline": baseline}
                yield EditBin(**keys, bin=name, rate=rate)


def _bin(rewrite: _Rewrite) -> str:
    """A change of white space alone has the ratio 0 and is not a copy."""
    if rewrite.copied:
        return "unchanged"
    return next(name for name, high in _BINS[1:] if rewrite.edit.ratio <= high)


def _changes(suite: str, system: str, plain: set[str], judged: Sequence[Judged]) -> Iterator[Change]:
    """``plain`` are the systems that are this one's upstream without a corrector."""
    for judge, baseline, preferences in judged:
        rows = list(preferences.values())
        if baseline in plain and any(row.value is not None for row in rows):
            shares = {
                name: measure.number(measure.of_rows(rows))
                for name, measure in (
                    ("better", CHANGED_BETTER),
                    ("same", CHANGED_SAME),
                    ("worse", CHANGED_WORSE),
                )
            }
            keys = {"suite": suite, "judge": judge, "system": system, "baseline": baseline}
            yield Change(**keys, **shares)
