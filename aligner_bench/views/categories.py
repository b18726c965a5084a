"""Show rates by category (Ngweta et al. 2024, Fig. 3): covered categories first, opponents side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aligner_bench.results.comparisons import FEW_PROMPTS, Comparison, Slice, too_few
from aligner_bench.results.schema import Results, SuiteInfo
from aligner_bench.views import charts
from aligner_bench.views.charts import Axis, Group, Mark
from aligner_bench.views.formats import plural
from aligner_bench.views.layout import BAR_DEFINITION, Board, Figure, boards, power_words, rate_of, series

COVERED = "covered, relevant"


class _Chart(NamedTuple):
    """Comparisons in one chart; ``names`` and ``numbers`` are the labels and colours of the rows."""

    heading: str
    against: str
    rows: list[Comparison]
    names: list[str]
    numbers: list[int]


def category_figures(results: Results) -> dict[str, list[Figure]]:
    """Draw the charts of each suite by judge.

    A candidate with more opponents than an opponent has candidates gets a chart of its own, with all its
    opponents side by side; otherwise each baseline has one, with all candidates.
    """
    infos = {suite.name: suite for suite in results.suites}
    return {
        name: [
            _figure(infos[name], board, chart, f"cat-{name_no}-{board_no}-{no}")
            for board_no, board in enumerate(group)
            for no, chart in enumerate(_charts(board, series(results)))
        ]
        for name_no, (name, group) in enumerate(boards(results).items())
    }


def _charts(board: Board, systems: Sequence[str]) -> Iterator[_Chart]:
    rows = [row for row in board.rows if row.by_category]
    candidates = list(dict.fromkeys(row.system for row in rows))
    baselines = list(dict.fromkeys(row.baseline for row in rows))
    judge = board.judge.judge
    if len(baselines) <= len(candidates):
        for baseline in baselines:
            own = [row for row in rows if row.baseline == baseline and row.n_draws < row.n]
            names = [row.system for row in own]
            heading = f"Judge {judge}, against {baseline}"
            yield _Chart(heading, baseline, own, names, [systems.index(name) for name in names])
        return
    for candidate in candidates:
        own = [row for row in rows if row.system == candidate and row.n_draws < row.n]
        names = [f"against {row.baseline}" for row in own]
        yield _Chart(
            f"Judge {judge}, {candidate} against its opponents",
            "each opponent",
            own,
            names,
            list(range(len(own))),
        )


def _figure(suite: SuiteInfo, board: Board, chart: _Chart, ident: str) -> Figure:
    title = f"{suite.name}: rate by category. {chart.heading}"
    covered = [name for name in suite.categories if name in suite.relevant]
    order = covered + [name for name in suite.categories if name not in suite.relevant]
    groups = [
        Group(name, _marks(chart, name), COVERED if name in covered else "", shaded=name in covered)
        for name in order
    ]
    shown = [group for group in groups if group.marks]
    axis = Axis(f"{BAR_DEFINITION} rate against {chart.against}; right of 50 % is better")
    svg = charts.forest(ident, title, shown, axis)
    note = "" if board.judge.has_power else f"{power_words(board.judge)[1]}: shown for reference"
    if too_few([mark.number for group in shown for mark in group.marks]):
        note = f"fewer than {FEW_PROMPTS} prompts per category: too few for a conclusion about one category"
    return Figure(chart.heading, svg, bool(note), note)


def _marks(chart: _Chart, category: str) -> list[Mark]:
    return [
        Mark(number, name, rate_of(part.rates), _note(part))
        for row, name, number in zip(chart.rows, chart.names, chart.numbers, strict=True)
        for part in row.by_category
        if part.category == category
    ]


def _note(part: Slice) -> str:
    """n, ties and failures."""
    failed = f", {part.n_failed} failed" if part.n_failed else ""
    return f"n {part.n}, {plural(part.n_draws, 'tie')}{failed}"
