"""Lay out results on the page: boards, matrices and figures by suite and judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from aligner_bench.results.comparisons import Comparison
from aligner_bench.results.controls import CONTROLS
from aligner_bench.results.judges import JudgePower, slot_limits
from aligner_bench.results.measure import Measure
from aligner_bench.results.measures.comparisons import CONSISTENCY, DISCRETE
from aligner_bench.results.measures.judges import FIRST_SLOT, KNOWN_WINNERS
from aligner_bench.results.measures.systems import DAMAGE, REPAIR
from aligner_bench.results.number import Number
from aligner_bench.results.schema import Results
from aligner_bench.results.systems import SystemRow
from aligner_bench.views import charts
from aligner_bench.views.charts import Axis, Group, Mark

BAR_DEFINITION = DISCRETE.name
CONTROL_WORDS = {
    "calibration": "changes nothing, so that every pair must tie",
    "control": "the upstream again with another seed, so that the interval should contain 50 %",
}
CONCLUSIONS = {
    "better": "better",
    "worse": "worse",
    "undecided": "undecided",
    "same": "the same",
    "no_power": "not ranked",
    "not_audited": "not audited",
}


@dataclass(frozen=True, slots=True)
class Board:
    """The comparisons of one judge on one suite; identities of judges are never mixed (contract 5)."""

    suite: str
    judge: JudgePower
    contenders: list[Comparison]
    controls: list[Comparison]
    definitions: list[str]

    @property
    def reach(self) -> float:
        """Half the width of the bars' scale around 50 %: the smallest of four that fits every interval."""
        rates = [bar_rate(row) for row in self.rows]
        far = max(
            (abs(end - 0.5) for r in rates for end in (r.lower, r.upper) if end is not None), default=0.5
        )
        return next((reach for reach in (0.05, 0.1, 0.25) if far <= reach), 0.5)

    @property
    def bar_label(self) -> str:
        """The bars' scale in words, for their column's heading."""
        return f"{50 - 100 * self.reach:.0f} · 50 · {50 + 100 * self.reach:.0f} %"

    @property
    def rows(self) -> list[Comparison]:
        """All rows, contenders first."""
        return self.contenders + self.controls


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its heading; ``quiet`` ones start folded."""

    title: str
    svg: Markup
    quiet: bool = False
    note: str = ""


def boards(results: Results) -> dict[str, list[Board]]:
    """Arrange the boards of each suite; judges with power first, contenders by falling bar rate."""
    kinds = system_kinds(results)
    judges = sorted(results.judges, key=lambda judge: not judge.has_power)
    return {
        suite.name: [
            _board(suite.name, judge, rows, kinds, results)
            for judge in judges
            if (rows := [r for r in results.rows if (r.suite, r.judge) == (suite.name, judge.judge)])
        ]
        for suite in results.suites
    }


def system_kinds(results: Results) -> dict[tuple[str, str], str]:
    """Map (suite, system) -> kind."""
    return {(row.suite, row.system): row.kind for row in results.systems}


def _board(
    suite: str, judge: JudgePower, rows: list[Comparison], kinds: dict[tuple[str, str], str], results: Results
) -> Board:
    controls = [row for row in rows if kinds.get((suite, row.system)) in CONTROLS]
    contenders = [row for row in rows if row not in controls]
    if judge.has_power:
        contenders.sort(key=lambda row: -(bar_rate(row).value or 0.0))
    present = {name for row in rows for name in row.rates}
    known = [name for name in results.definitions if name in present]
    return Board(suite, judge, contenders, controls, known + sorted(present - set(known)))


def bar_rate(row: Comparison) -> Number:
    """Choose the rate that bars and category charts show: ``discrete``, in which 50 % means no difference."""
    return rate_of(row.rates)


def rate_of(rates: dict[str, Number]) -> Number:
    """Choose the bar's definition among rates; a number without a value where it is missing."""
    return rates.get(BAR_DEFINITION) or Number(value=None, lower=None, upper=None, n=0, method="none")


def power_words(judge: JudgePower) -> tuple[str, str]:
    """Choose CSS class and label for a judge's power."""
    if judge.has_power:
        return "good", "has power"
    if judge.not_audited:
        return "bad", "not audited here"
    return "bad", "no discriminating power"


def matrices(results: Results) -> list[tuple[Board, list[str], list[str], dict[tuple[str, str], Comparison]]]:
    """Arrange boards with several baselines, as (board, systems, baselines, cells)."""
    found = []
    for board in (board for group in boards(results).values() for board in group):
        baselines = list(dict.fromkeys(row.baseline for row in board.rows))
        if len(baselines) > 1:
            systems = list(dict.fromkeys(row.system for row in board.rows))
            found.append((board, systems, baselines, {(r.system, r.baseline): r for r in board.rows}))
    return found


def shade(row: Comparison) -> str:
    """Choose the CSS class of a matrix cell: win or loss, strong where the comparison is decided."""
    rate = bar_rate(row)
    if not row.has_power or rate.value is None:
        return "muted"
    side = "win" if rate.value > 0.5 else "loss" if rate.value < 0.5 else "even"
    return f"{side} sure" if row.conclusion in ("better", "worse") else side


def series(results: Results) -> list[str]:
    """List all systems in the order of the results: a system has the same colour in every chart."""
    return list(dict.fromkeys(row.system for row in results.systems))


def repair_figures(results: Results) -> list[Figure]:
    """Draw one chart per suite: what each corrector repaired and damaged."""
    figures = []
    for no, suite in enumerate(results.suites):
        rows = [row for row in results.systems if row.suite == suite.name and (row.repair or row.damage)]
        if rows:
            title = f"{suite.name}: answers repaired and damaged"
            axis = Axis(
                "share of the upstream's wrong (repair) or right (damage) answers", None, [], _reach(rows)
            )
            figures.append(
                Figure(title, charts.forest(f"fix-{no}", title, [_repair(row) for row in rows], axis))
            )
    return figures


def _reach(rows: Sequence[SystemRow]) -> float:
    """The smallest of three ends of an axis from 0 that contains every interval."""
    numbers = [number for row in rows for number in (row.repair, row.damage) if number]
    far = max((number.upper for number in numbers if number.upper is not None), default=1.0)
    return next((end for end in (0.25, 0.5) if far <= end), 1.0)


def _repair(row: SystemRow) -> Group:
    marks = []
    if row.repair:
        marks.append(Mark(2, REPAIR.heading, row.repair, f"{row.n_repaired} of {row.repair.n} wrong"))
    if row.damage:
        marks.append(Mark(1, DAMAGE.heading, row.damage, f"{row.n_damaged} of {row.damage.n} right"))
    return Group(row.system, marks, CONTROLS.get(row.kind, row.kind))


def score_figures(results: Results) -> list[tuple[str, Figure, Figure]]:
    """Draw mean trajectories and distributions of each suite with recorded scores."""
    figures = []
    for no, suite in enumerate(results.suites):
        states = [state for state in results.trajectories if state.suite == suite.name]
        if states:
            means, spread = (
                f"{suite.name}: mean inspector scores",
                f"{suite.name}: how scores are distributed",
            )
            figures.append(
                (
                    suite.name,
                    Figure(means, charts.trajectories(f"traj-{no}", means, states, series(results))),
                    Figure(spread, charts.distributions(f"dist-{no}", spread, states), quiet=True),
                )
            )
    return figures


def audit_figure(results: Results) -> Figure | None:
    """Draw accuracy, consistency and first-slot share of every judge on one axis."""
    parts: tuple[tuple[Measure, str, int], ...] = (
        (KNOWN_WINNERS, "accuracy", 0),
        (CONSISTENCY, "consistency", 2),
        (FIRST_SLOT, "first_slot", 1),
    )
    groups = []
    for judge in results.judges:
        marks = [
            Mark(colour, measure.heading, number, f"n {number.n}")
            for measure, name, colour in parts
            if (number := getattr(judge, name)) is not None
        ]
        if marks:
            groups.append(Group(judge.judge, marks, "" if judge.has_power else power_words(judge)[1]))
    if not groups:
        return None
    low, high = slot_limits()
    axis = Axis(
        "share; a first-slot share in a shaded band shows that position decides",
        bands=[(0.0, low), (high, 1.0)],
    )
    return Figure("Judges' audit", charts.forest("audit", "Judges' audit", groups, axis))
