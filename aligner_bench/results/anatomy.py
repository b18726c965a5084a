"""What rewrites look like: how much is copied, changed, added and removed, and what that has to do with wins.

Only answers are counted that have an upstream answer beside them and did not fail; the others are numbered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from pydantic import Field

from aligner_bench.core.preferences import Preference, combine
from aligner_bench.results.number import Number, Published
from aligner_bench.store.tables import Row, group
from aligner_bench.store.traces import read_trace
from aligner_bench.texts.edits import Edit, edit

ALL = "all"
"""The category of a row that is about all prompts."""


class Anatomy(Published):
    """How a corrector's answers differ from the upstream's. Lengths are in tokens: ``edits.TOKENISER``."""

    suite: str
    system: str
    category: str = Field(description='a category, or "all"')
    n: int = Field(description="answers with an upstream answer and no failure")
    n_left_out: int = Field(description="failed or missing answers")
    n_copied: int = Field(description="answers left exactly as they were")
    copied: Number = Field(description="n_copied / n")
    edit_ratio: Number = Field(
        description="mean token edit distance over the original's length; can exceed 1"
    )
    edit_median: float = Field(description="median edit ratio")
    kept: Number = Field(description="mean tokens an answer that both texts have, in order")
    removed: Number = Field(description="mean tokens an answer that only the original has")
    added: Number = Field(description="mean tokens an answer that only the rewrite has")
    length_before: Number = Field(description="mean tokens (Ji et al. 2024, Table 14)")
    length_after: Number
    length_ratio: Number = Field(description="ratio of the mean lengths, after to before")


class EditBin(Published):
    """A win rate among the answers that were rewritten to one extent."""

    suite: str
    judge: str
    system: str = Field(description="the candidate, a corrected system")
    baseline: str
    bin: str = Field(description="range of the edit ratio")
    rate: Number = Field(description="weighted rate; n is the prompts with a verdict")


class Crossing(Published):
    """Repair and damage in the eyes of one inspector: answers that cross its threshold."""

    suite: str
    system: str
    category: str = Field(description='a category, or "all"')
    inspector: str
    threshold: float
    repair: Number = Field(
        description="below the threshold at the start, not at the end / below at the start"
    )
    damage: Number = Field(description="below at the end, not at the start / not below at the start")


class Change(Published):
    """Repair and damage in the eyes of a judge: the corrected answer against the upstream's own."""

    suite: str
    judge: str
    system: str
    baseline: str = Field(description="the same upstream without a corrector")
    better: Number = Field(description="share of judged prompts")
    same: Number
    worse: Number


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
    """All tables of this module, by their names in the results."""
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
    from aligner_bench.stats.intervals import wilson

    edits = [rewrite.edit for rewrite in part]
    families = _repeated([rewrite.family for rewrite in part])
    copied = sum(rewrite.copied for rewrite in part)

    def mean(values: Sequence[float]) -> Number:
        return _mean(values, families)

    return Anatomy(
        suite=suite,
        system=system,
        category=category,
        n=len(part),
        n_left_out=lost,
        n_copied=copied,
        copied=Number.of(wilson(copied, len(part))),
        edit_ratio=mean([e.ratio for e in edits]),
        edit_median=median([e.ratio for e in edits]),
        kept=mean([e.kept for e in edits]),
        removed=mean([e.before - e.kept for e in edits]),
        added=mean([e.after - e.kept for e in edits]),
        length_before=mean([e.before for e in edits]),
        length_after=mean([e.after for e in edits]),
        length_ratio=_ratio(edits, families),
    )


def _repeated(families: Sequence[str]) -> Sequence[str] | None:
    """None where every prompt is a family of its own."""
    return families if len(set(families)) < len(families) else None


def _mean(values: Sequence[float], families: Sequence[str] | None) -> Number:
    """A mean of what cannot be negative, with its t interval."""
    from aligner_bench.stats.intervals import mean_t

    return Number.of(mean_t(values, families, bounds=None)).floored()


def _ratio(edits: Sequence[Edit], families: Sequence[str] | None) -> Number:
    """Ratio of two means by linearisation (Cochran 1977, Sampling Techniques, 6.4): the t interval of
    (after - R before) / mean(before), around R."""
    from aligner_bench.stats.intervals import mean_t

    total = sum(e.before for e in edits)
    if not total:
        return Number(value=None, lower=None, upper=None, n=len(edits), method="linearised t")
    share = sum(e.after for e in edits) / total
    residuals = [(e.after - share * e.before) * len(edits) / total for e in edits]
    estimate = mean_t(residuals, families, bounds=None).shifted(1.0, share)
    number = Number.of(estimate)
    return number.model_copy(update={"value": share, "method": f"linearised {estimate.method}"})


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
                for name in (ALL, category):
                    found.setdefault((inspector, bound, name), []).append((low[0], low[1]))
    several = len({name for _, _, name in found}) > 2
    for inspector, bound, name in sorted(found, key=lambda key: (key[2] != ALL, key)):
        if name == ALL or several:
            pairs = found[inspector, bound, name]
            yield _crossing({"suite": suite, "system": system, "category": name}, inspector, bound, pairs)


def _crossing(
    keys: Mapping[str, str], inspector: str, bound: float, pairs: Sequence[tuple[bool, bool]]
) -> Crossing:
    """``pairs`` tell of each answer whether it was below the bound at the start, and at the end."""
    from aligner_bench.stats.intervals import wilson

    low = [after for before, after in pairs if before]
    high = [after for before, after in pairs if not before]
    return Crossing(
        **keys,
        inspector=inspector,
        threshold=bound,
        repair=Number.of(wilson(len(low) - sum(low), len(low))),
        damage=Number.of(wilson(sum(high), len(high))),
    )


def _preferences(verdicts: Sequence[Row]) -> Iterator[Judged]:
    """Judge, baseline and preferences by prompt_id of every comparison among these verdicts."""
    for (judge, baseline), rows in group(verdicts, "judge", "baseline").items():
        yield judge, baseline, {key[0]: combine(pair) for key, pair in group(rows, "prompt_id").items()}


def _edit_bins(suite: str, system: str, rewrites: Rewrites, judged: Sequence[Judged]) -> Iterator[EditBin]:
    from aligner_bench.stats.winrate import win_rate

    for judge, baseline, preferences in judged:
        bins: dict[str, list[tuple[float, str]]] = {name: [] for name, _ in _BINS}
        for key in sorted(preferences):
            value = preferences[key].value
            if value is not None and key in rewrites:
                bins[_bin(rewrites[key])].append((value, rewrites[key].family))
        for name, part in bins.items():
            if part:
                families = _repeated([family for _, family in part])
                rate = Number.of(win_rate([value for value, _ in part], "weighted", families))
                keys = {"suite": suite, "judge": judge, "system": system, "baseline": baseline}
                yield EditBin(**keys, bin=name, rate=rate)


def _bin(rewrite: _Rewrite) -> str:
    """A change of white space alone has the ratio 0, yet is no copy."""
    if rewrite.copied:
        return "unchanged"
    return next(name for name, high in _BINS[1:] if rewrite.edit.ratio <= high)


def _changes(suite: str, system: str, plain: set[str], judged: Sequence[Judged]) -> Iterator[Change]:
    """``plain`` are the systems that are this one's upstream without a corrector."""
    from aligner_bench.stats.intervals import wilson

    for judge, baseline, preferences in judged:
        values = [p.value for p in preferences.values() if p.value is not None]
        if baseline in plain and values:
            sides = [(value > 0.5) - (value < 0.5) for value in values]
            shares = (Number.of(wilson(sides.count(side), len(sides))) for side in (1, 0, -1))
            keys = {"suite": suite, "judge": judge, "system": system, "baseline": baseline}
            yield Change(**keys, **dict(zip(("better", "same", "worse"), shares, strict=True)))
