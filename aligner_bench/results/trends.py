"""Compute trends over the aligner's size, tested prompt by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from aligner_bench.core.preferences import combine
from aligner_bench.results.measures import comparisons as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.store.tables import Row, group

Tables = Mapping[str, Sequence[Row]]
Sizes = Mapping[str, float]
_ALPHA = 0.05


class TrendRow(Published):
    """The change of the preference against one baseline with the aligner's size."""

    origin: ClassVar = Origin("verdicts")
    name: str
    suite: str
    judge: str
    baseline: str
    sizes: Annotated[dict[str, float], m.TREND_SIZE]
    means: Annotated[dict[str, float], m.TREND_MEAN]
    n: Annotated[int, m.TREND_N]
    slope: Annotated[Number, m.TREND_SLOPE]
    p_slope: Annotated[float | None, m.TREND_P, Field(description="None: fewer than two prompt families")]
    p_adjusted: Annotated[float | None, m.TREND_P_HOLM]
    sentence: str


def trend_rows(tables: Tables, trends: Mapping[str, Sizes], power: Mapping[str, bool]) -> list[TrendRow]:
    """Compute one row for each declared trend, suite, judge and baseline with verdicts on two sizes.

    ``power``: judge -> whether it has discriminating power.
    """
    if not trends:
        return []
    found = [row for name, sizes in trends.items() for row in _of(tables, name, sizes)]
    return _corrected(found, power)


def _of(tables: Tables, name: str, sizes: Sizes) -> Iterator[TrendRow]:
    families = {(p["suite"], p["prompt_id"]): p["family"] or p["prompt_id"] for p in tables["prompts"]}
    verdicts = [row for row in tables["verdicts"] if row["candidate"] in sizes]
    for (suite, judge, baseline), rows in group(verdicts, "suite", "judge", "baseline").items():
        values = {
            system: {p: combine(pair).value for (p,), pair in group(own, "prompt_id").items()}
            for (system,), own in group(rows, "candidate").items()
        }
        own = {s: size for s, size in sorted(sizes.items(), key=lambda item: item[1]) if s in values}
        shared = [p for p in next(iter(values.values())) if all(values[s].get(p) is not None for s in own)]
        if len(set(own.values())) < 2 or not shared:
            continue
        table = [[float(values[system][p] or 0.0) for system in own] for p in shared]
        labels = [families[suite, p] for p in shared]
        yield _row((name, suite, judge, baseline), own, table, labels)


def _row(
    key: tuple[str, str, str, str], sizes: Sizes, table: Sequence[Sequence[float]], families: Sequence[str]
) -> TrendRow:
    slope, p = m.TREND_SLOPE(table, list(sizes.values()), families)
    name, suite, judge, baseline = key
    return TrendRow(
        name=name,
        suite=suite,
        judge=judge,
        baseline=baseline,
        sizes=dict(sizes),
        means={system: m.TREND_MEAN([row[i] for row in table]) for i, system in enumerate(sizes)},
        n=len(table),
        slope=slope,
        p_slope=m.TREND_P(p),
        p_adjusted=None,
        sentence="",
    )


def _corrected(rows: list[TrendRow], power: Mapping[str, bool]) -> list[TrendRow]:
    tested = [row for row in rows if row.p_slope is not None]
    for row, p in zip(tested, m.TREND_P_HOLM([row.p_slope or 0.0 for row in tested]), strict=True):
        row.p_adjusted = p
    for row in rows:
        row.sentence = _sentence(row, power.get(row.judge, False))
    return rows


def _sentence(row: TrendRow, power: bool) -> str:
    """State the trend in words, within what the test supports."""
    who = f"{row.name} against {row.baseline} ({row.suite}, {row.judge})"
    value, lower, upper = row.slope.value, row.slope.lower, row.slope.upper
    if row.p_adjusted is None or value is None or lower is None or upper is None:
        return f"{who}: no trend shown: too few prompts to test ({row.n})."
    ends = [f"{round(100 * end, 1) + 0.0:+.1f}" for end in (value, lower, upper)]  # no minus before 0
    p = "p < 0.001" if row.p_adjusted < 0.001 else f"p = {row.p_adjusted:.3f}"
    slope = f"{ends[0]} points a doubling of size (95 % {ends[1]} to {ends[2]}; {p} after Holm, n = {row.n})"
    slope = slope.replace("-", "\N{MINUS SIGN}")
    if not power:
        return f"{who}: no conclusion: the judge has no discriminating power: {slope}."
    if row.p_adjusted >= _ALPHA:
        return f"{who}: no trend shown: {slope}."
    return f"{who}: {'grows' if value > 0 else 'falls'} with the aligner's size: {slope}."
