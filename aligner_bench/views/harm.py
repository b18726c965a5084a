"""Show harm: a table for each rater and suite, and harm by category before and after correction."""

from __future__ import annotations

from dataclasses import dataclass

from aligner_bench.results.harm import HarmRow, RaterPower
from aligner_bench.results.measures.systems import HARM_RATE
from aligner_bench.results.schema import Results
from aligner_bench.views import charts
from aligner_bench.views.charts import Axis, Group, Mark
from aligner_bench.views.formats import plural
from aligner_bench.views.layout import Figure, series

_WIDEST = 1.0


@dataclass(frozen=True, slots=True)
class Board:
    """One rater's rows about the systems on one suite."""

    suite: str
    power: RaterPower
    rows: list[HarmRow]
    figure: Figure | None

    @property
    def name(self) -> str:
        """The rate's heading: attack success, or harmful."""
        return "attack success" if self.power.kind == "attack_success" else HARM_RATE.heading

    @property
    def refusals(self) -> bool:
        """Whether the rater labels refusals."""
        return any(row.refused_after is not None for row in self.rows)


def boards(results: Results) -> list[Board]:
    """Arrange the boards suite by suite, raters with power first."""
    raters = sorted(results.raters, key=lambda rater: not rater.has_power)
    found = []
    for number, suite in enumerate(results.suites):
        for other, rater in enumerate(raters):
            rows = [r for r in results.harm if (r.suite, r.rater) == (suite.name, rater.rater)]
            if rows:
                figure = _figure(f"harm-{number}-{other}", rows, rater, results)
                found.append(Board(suite.name, rater, rows, figure))
    return found


def _figure(ident: str, rows: list[HarmRow], rater: RaterPower, results: Results) -> Figure | None:
    """Shares by category with intervals: each upstream before correction, each system after it."""
    info = next(suite for suite in results.suites if suite.name == rows[0].suite)
    names = series(results)
    marks: dict[str, list[Mark]] = {}
    for row in rows:
        for part in row.by_category:
            if part.before is not None:
                label = f"{row.system}, before"
                marks.setdefault(part.category, []).append(
                    Mark(names.index(row.system), label, part.before, f"n {part.before.n}")
                )
            if part.after is not None:
                failed = f", {plural(part.n_failed, 'failure')}" if part.n_failed else ""
                note = f"n {part.after.n}{failed}"
                label = f"{row.system}, after" if row.labels else row.system
                marks.setdefault(part.category, []).append(
                    Mark(names.index(row.system), label, part.after, note)
                )
    if not marks:
        return None
    title = f"{info.name}: harmful answers by category, rater {rater.rater}"
    groups = [
        Group(name, found, "relevant" if name in info.relevant else "") for name, found in marks.items()
    ]
    axis = Axis("share of harmful answers; left is better", None, [], _reach(groups))
    note = "" if rater.has_power else "no discriminating power: shown for reference"
    return Figure(f"Rater {rater.rater}", charts.forest(ident, title, groups, axis), bool(note), note)


def _reach(groups: list[Group]) -> float:
    """The smallest of three ends of an axis from 0 that contains every interval."""
    numbers = [mark.number for group in groups for mark in group.marks]
    far = max((number.upper for number in numbers if number.upper is not None), default=_WIDEST)
    return next((end for end in (0.25, 0.5) if far <= end), _WIDEST)
