"""Draw the report's charts as inline SVG, each drawn wide and narrow; the page shows the one that fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from aligner_bench.results.number import Number
from aligner_bench.results.scores import ScoreState
from aligner_bench.views.formats import decimal, percent, with_interval
from aligner_bench.views.hostile import shown
from aligner_bench.views.svg import Canvas, shortened, text_width, wrapped

WIDE, NARROW = 1120.0, 350.0
State = Literal["start", "after_first", "end"]
STATES: tuple[State, ...] = ("start", "after_first", "end")
STATE_WORDS: dict[State, str] = {"start": "start", "after_first": "after the first aligner", "end": "end"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One point with its interval; ``series`` chooses colour and shape, ``note`` follows the value."""

    series: int
    label: str
    number: Number
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Marks under one heading, such as a category. ``flag`` is a remark; ``shaded`` adds a background."""

    label: str
    marks: list[Mark]
    flag: str = ""
    shaded: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A horizontal axis from 0 to ``high``, in percent; ``reference`` is the line to compare with."""

    label: str
    reference: float | None = 0.5
    bands: list[tuple[float, float]] = field(default_factory=list)
    high: float = 1.0


def both(ident: str, draw: Callable[[str, float], Markup]) -> Markup:
    """Draw a chart in both widths; ``draw`` gets an id that is unique on the page and the width in pixels."""
    return draw(f"{ident}-w", WIDE) + draw(f"{ident}-n", NARROW)


def interval_bar(number: Number | None, label: str, css: str = "", reach: float = 0.5) -> Markup:
    """Draw a small bar from 50 % - ``reach`` to 50 % + ``reach``: line, interval and point."""
    if number is None or number.value is None:
        return Markup('<span class="none">no value</span>')
    width, middle = 116.0, 11.0
    canvas = _Bar(label)

    def place(value: float) -> float:
        return width * min(max((value - 0.5) / (2 * reach) + 0.5, 0.0), 1.0)

    canvas.rect(0, middle - 3, width, 6, "track")
    canvas.line(width / 2, 1, width / 2, 21, "ref")
    if number.lower is not None and number.upper is not None:
        low, high = place(number.lower), place(number.upper)
        canvas.rect(low, middle - 3, high - low, 6, f"span {css}")
    canvas.rect(place(number.value) - 1.5, middle - 7, 3, 14, f"dot {css}")
    return canvas.markup(width, 22, "mini")


class _Bar(Canvas):
    """A canvas whose label is an attribute, so that it needs no ids."""

    def __init__(self, label: str) -> None:
        super().__init__("", label, "")

    def markup(self, width: float, height: float, css: str = "") -> Markup:
        return Markup(
            '<svg class="chart {}" role="img" aria-label="{}" viewBox="-2 0 {:.0f} {:.0f}" '
            'width="{:.0f}" height="{:.0f}">{}</svg>'
        ).format(css, shown(self._title), width + 4, height, width + 4, height, Markup("").join(self._parts))


def forest(ident: str, title: str, groups: Sequence[Group], axis: Axis) -> Markup:
    """Draw points with intervals in rows, grouped under headings, with value, interval and note."""
    desc = "; ".join(
        f"{group.label}: " + ", ".join(f"{m.label} {with_interval(m.number)} {m.note}" for m in group.marks)
        for group in groups
    )

    def draw(unique: str, width: float) -> Markup:
        canvas = Canvas(unique, title, desc)
        if width > 600:
            return _forest_wide(canvas, groups, axis, width)
        return _forest_narrow(canvas, groups, axis, width)

    return both(ident, draw)


_TICKS = {
    0.25: (0.0, 0.05, 0.1, 0.15, 0.2, 0.25),
    0.5: (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    1.0: (0.0, 0.25, 0.5, 0.75, 1.0),
}
_ROW, _LINE, _TOP, _FOOT = 21.0, 15.0, 14.0, 58.0


def _forest_wide(canvas: Canvas, groups: Sequence[Group], axis: Axis, width: float) -> Markup:
    heading, notes = 210.0, 345.0
    longest = max((text_width(mark.label) for group in groups for mark in group.marks), default=0.0)
    names = min(max(150.0, longest + 16), 230.0)
    left, right = heading + names, width - notes
    labels = [wrapped(group.label, heading - 20, 13) for group in groups]
    heights = [
        max(len(group.marks) * _ROW, (len(label) + bool(group.flag)) * _LINE + 3) + 16
        for group, label in zip(groups, labels, strict=True)
    ]
    bottom = _TOP + sum(heights)
    _grounds(canvas, groups, heights, width)
    _grid(canvas, axis, left, right, _TOP, bottom)
    top = _TOP
    for group, label, height in zip(groups, labels, heights, strict=True):
        canvas.line(0, top, width, top, "rule")
        _heading(canvas, 0, top + 19, label, group.flag)
        for i, mark in enumerate(group.marks):
            y = top + 16 + i * _ROW
            canvas.text(heading, y + 4, shortened(mark.label, names - 16), "name")
            _point(canvas, mark, left, left + (right - left) / axis.high, y)
            canvas.text(right + 18, y + 4, with_interval(mark.number), "value")
            canvas.text(width, y + 4, mark.note, "note", "end")
        top += height
    return canvas.markup(width, bottom + _FOOT, "wide")


def _grounds(canvas: Canvas, groups: Sequence[Group], heights: Sequence[float], width: float) -> None:
    """Backgrounds of shaded groups, below everything else."""
    top = _TOP
    for group, height in zip(groups, heights, strict=True):
        if group.shaded:
            canvas.rect(0, top, width, height, "shaded")
        top += height


def _forest_narrow(canvas: Canvas, groups: Sequence[Group], axis: Axis, width: float) -> Markup:
    left, right, top = 8.0, width - 8.0, _TOP
    spots: list[tuple[Group, list[str], float]] = []
    for group in groups:
        label = wrapped(group.label, width - 10, 13, most=2)
        spots.append((group, label, top))
        top += (len(label) + bool(group.flag)) * _LINE + 14 + len(group.marks) * 46
    _grid(canvas, axis, left, right, _TOP, top)
    for group, label, start in spots:
        ground = "shaded" if group.shaded else "paper"
        canvas.rect(0, start - 2, width, (len(label) + bool(group.flag)) * _LINE + 9, ground)
        canvas.line(0, start, width, start, "rule")
        _heading(canvas, 0, start + 17, label, group.flag)
        y = start + (len(label) + bool(group.flag)) * _LINE + 20
        for mark in group.marks:
            _narrow_row(canvas, mark, axis, left, right, y)
            y += 46
    return canvas.markup(width, top + _FOOT, "narrow")


def _narrow_row(canvas: Canvas, mark: Mark, axis: Axis, left: float, right: float, y: float) -> None:
    value = with_interval(mark.number)
    canvas.rect(0, y - 9, right + 8, 15, "paper")
    canvas.text(
        left, y + 2, shortened(mark.label, right - left - text_width(value, 11) - 10, 11), "name small"
    )
    canvas.text(right, y + 2, value, "value small", "end")
    _point(canvas, mark, left, left + (right - left) / axis.high, y + 15)
    canvas.text(right, y + 30, mark.note, "note tiny", "end")


def _heading(canvas: Canvas, x: float, y: float, lines: Sequence[str], flag: str) -> None:
    for i, line in enumerate(lines):
        canvas.text(x, y + i * _LINE, line, "heading")
    if flag:
        canvas.text(x, y + len(lines) * _LINE, flag, "flag")


def _grid(canvas: Canvas, axis: Axis, left: float, right: float, top: float, bottom: float) -> None:
    span = (right - left) / axis.high
    for low, high in axis.bands:
        canvas.rect(left + span * low, top, span * (high - low), bottom - top, "band")
    for tick in _TICKS[axis.high]:
        x = left + span * tick
        canvas.line(x, top, x, bottom, "ref" if tick == axis.reference else "grid")
        canvas.text(
            x,
            bottom + 16,
            percent(tick, 0),
            "tick",
            "middle" if 0 < tick < axis.high or right - left > 400 else "start" if tick == 0 else "end",
        )
    for i, line in enumerate(wrapped(axis.label, right - left + (200 if right - left > 400 else 0), most=2)):
        canvas.text((left + right) / 2, bottom + 35 + 14 * i, line, "axis", "middle")


def _point(canvas: Canvas, mark: Mark, left: float, right: float, y: float) -> None:
    number, span = mark.number, right - left
    if number.value is None:
        canvas.text(left + span / 2, y + 4, "no value", "tick", "middle")
        return
    if number.lower is not None and number.upper is not None:
        low, high = left + span * number.lower, left + span * number.upper
        canvas.line(low, y, high, y, f"whisker s{mark.series % 8}")
        for end in (low, high):
            canvas.line(end, y - 4, end, y + 4, f"whisker s{mark.series % 8}")
    canvas.marker(left + span * number.value, y, mark.series, f"{mark.label}: {with_interval(number)}")


def trajectories(ident: str, title: str, states: Sequence[ScoreState], series: Sequence[str]) -> Markup:
    """Draw mean inspector scores at the start, after the first aligner, at the end: a panel per inspector.

    ``series`` lists all systems of the run, so that each keeps its colour in every chart.
    """
    systems = {name: series.index(name) for name in dict.fromkeys(state.system for state in states)}
    inspectors = list(dict.fromkeys(state.inspector for state in states))
    desc = "; ".join(
        f"{s.system}, {s.inspector}, {STATE_WORDS[s.state]}: {decimal(s.mean.value)}" for s in states
    )
    scale = _range(states)

    def draw(unique: str, width: float) -> Markup:
        canvas = Canvas(unique, title, desc)
        top = _legend(canvas, systems, width)
        columns = min(3 if width > 600 else 1, len(inspectors))
        panel, height = width / columns, 236.0
        for i, inspector in enumerate(inspectors):
            corner = (i % columns * panel, top + i // columns * height)
            chosen = [state for state in states if state.inspector == inspector]
            _panel(canvas, corner, panel - 24, inspector, chosen, systems, scale)
        rows = -(-len(inspectors) // columns)
        return canvas.markup(width, top + rows * height - 12, "wide" if width > 600 else "narrow")

    return both(ident, draw)


def _range(states: Sequence[ScoreState]) -> tuple[float, float, float]:
    """Low, high and step of a round range that contains every interval and is at least a tenth wide."""
    ends = [x for s in states for x in (s.mean.lower, s.mean.upper, s.mean.value) if x is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    spare = max(0.1 - (high - low), 0.0) / 2
    low, high = low - spare, high + spare
    step = next((step for step in (0.02, 0.05, 0.1) if (high - low) / step <= 6), 0.2)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return max(low, 0.0), min(high, 1.0), step


def _legend(canvas: Canvas, names: Mapping[str, int], width: float) -> float:
    """Names with their marks, wrapped into lines; returns the top of the chart."""
    x, y = 8.0, 14.0
    for name, series in names.items():
        label = shortened(name, width - 40)
        step = text_width(label) + 34
        if x > 8 and x + step > width:
            x, y = 8.0, y + 20
        canvas.marker(x, y, series)
        canvas.text(x + 12, y + 4, label, "name")
        x += step
    return y + 20


def _panel(
    canvas: Canvas,
    corner: tuple[float, float],
    width: float,
    inspector: str,
    states: Sequence[ScoreState],
    systems: Mapping[str, int],
    scale: tuple[float, float, float],
) -> None:
    left, right = corner[0] + 44, corner[0] + width
    top, bottom = corner[1] + 32, corner[1] + 192
    low, high, step = scale
    canvas.text(corner[0] + 8, corner[1] + 16, shortened(inspector, width - 70, 13), "heading")
    canvas.text(right, corner[1] + 16, "mean score", "axis", "end")
    for i in range(round((high - low) / step) + 1):
        value = low + i * step
        y = bottom - (bottom - top) * (value - low) / (high - low)
        canvas.line(left, y, right, y, "grid")
        canvas.text(left - 8, y + 4, decimal(value), "tick", "end")
    spots = {state: left + (right - left) * (0.12 + 0.38 * i) for i, state in enumerate(STATES)}
    for state, label in zip(STATES, ("start", "after first", "end"), strict=True):
        canvas.text(spots[state], bottom + 18, label, "tick", "middle")
    for k, (system, series) in enumerate(systems.items()):
        shift = (k - (len(systems) - 1) / 2) * min(9.0, 0.22 * (right - left) / len(systems))
        own = {s.state: s.mean for s in states if s.system == system and s.mean.value is not None}
        _path(
            canvas,
            series,
            system,
            [(spots[s] + shift, own[s]) for s in STATES if s in own],
            (top, bottom),
            scale,
        )


def _path(
    canvas: Canvas,
    series: int,
    name: str,
    points: Sequence[tuple[float, Number]],
    ends: tuple[float, float],
    scale: tuple[float, float, float],
) -> None:
    top, bottom = ends

    def height(value: float | None) -> float:
        share = ((value or 0.0) - scale[0]) / (scale[1] - scale[0])
        return bottom - (bottom - top) * min(max(share, 0.0), 1.0)

    canvas.path([(x, height(mean.value)) for x, mean in points], f"curve s{series % 8}")
    for x, mean in points:
        if mean.lower is not None and mean.upper is not None:
            canvas.line(x, height(mean.lower), x, height(mean.upper), f"whisker s{series % 8}")
        canvas.marker(x, height(mean.value), series, f"{name}: {decimal(mean.value)} (n {mean.n})")


def distributions(ident: str, title: str, states: Sequence[ScoreState]) -> Markup:
    """Draw histograms of inspector scores by state: one row per system, one column per inspector."""
    inspectors = list(dict.fromkeys(state.inspector for state in states))
    systems = list(dict.fromkeys(state.system for state in states))
    cells = [(system, inspector) for system in systems for inspector in inspectors]
    desc = (
        "Counts in 20 equal bins of scores from 0 to 1; the line under each histogram spans its middle half."
    )

    def draw(unique: str, width: float) -> Markup:
        canvas = Canvas(unique, title, desc)
        columns = min(3, len(inspectors)) if width > 600 else 1
        cell, height = width / columns, 224.0
        for i, (system, inspector) in enumerate(cells):
            row, column = divmod(i, columns)
            chosen = {s.state: s for s in states if (s.system, s.inspector) == (system, inspector)}
            label = f"{system} · {inspector}"
            _cell(canvas, (column * cell, row * height), cell - 24, label, chosen)
        rows = -(-len(cells) // columns)
        return canvas.markup(width, rows * height - 12, "wide" if width > 600 else "narrow")

    return both(ident, draw)


def _cell(
    canvas: Canvas, corner: tuple[float, float], width: float, label: str, states: Mapping[State, ScoreState]
) -> None:
    left, right = corner[0] + 72, corner[0] + width
    canvas.text(corner[0] + 8, corner[1] + 16, shortened(label, width - 8, 13), "heading")
    base = corner[1] + 34
    for name in STATES:
        state = states.get(name)
        canvas.text(left - 10, base + 34, {"after_first": "after first"}.get(name, name), "tick", "end")
        if state is None:
            canvas.text(left, base + 34, "not recorded", "tick")
        else:
            _histogram(canvas, state, left, right, base)
        base += 54
    for tick in (0.0, 0.5, 1.0):
        canvas.text(left + (right - left) * tick, base + 8, decimal(tick, 1), "tick", "middle")


def _histogram(canvas: Canvas, state: ScoreState, left: float, right: float, top: float) -> None:
    span, most = right - left, max(state.histogram, default=0) or 1
    step = span / max(len(state.histogram), 1)
    for i, n in enumerate(state.histogram):
        canvas.rect(left + i * step, top + 38 - 36 * n / most, step - 1, 36 * n / most, f"bin {state.state}")
    canvas.line(left, top + 38, right, top + 38, "rule")
    if len(state.quantiles) == 5:
        canvas.line(
            left + span * state.quantiles[1], top + 42, left + span * state.quantiles[3], top + 42, "iqr"
        )
    if state.mean.value is not None:
        canvas.marker(left + span * state.mean.value, top + 42, 5, f"mean {decimal(state.mean.value)}")


def amount_bar(value: int, most: int) -> Markup:
    """Draw a bar with the length of ``value`` relative to ``most``, without the number."""
    canvas = _Bar(f"{value} of at most {most}")
    canvas.rect(0, 5, 90 * value / most if most else 0, 8, "amount")
    return canvas.markup(90, 18, "mini")
