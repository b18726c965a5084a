"""Show what correctors did step by step: tables, the effect matrix, and how a few answers moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from aligner_bench.results.effects import Actor, Effect
from aligner_bench.results.examples import Example
from aligner_bench.results.oracles import Oracle
from aligner_bench.results.schema import Results
from aligner_bench.results.steps import Gain, OrderUse
from aligner_bench.views.charts import both
from aligner_bench.views.formats import decimal, plural
from aligner_bench.views.layout import Figure
from aligner_bench.views.svg import Canvas, shortened, text_width

MOST_ORDERS = 8
VERDICTS = {
    "synergy": "raises other scores too, and lowers none",
    "conflict": "lowers another score",
    "independent": "no effect on other scores",
    "undecided": "too few rewrites to tell its effect on other scores",
    "alone": "no other inspector saw its rewrites",
}
CELLS = {"raises": "win sure", "lowers": "loss sure", "no_effect": "even", "undecided": "even"}
CELL_WORDS = {"raises": "raises", "lowers": "lowers", "no_effect": "no effect", "undecided": "undecided"}


@dataclass(frozen=True, slots=True)
class Steps:
    """The rows about one system's steps on one suite."""

    suite: str
    system: str
    actors: list[Actor]
    effects: list[Effect]
    gains: list[Gain]
    orders: list[OrderUse]
    oracle: Oracle | None
    paths: Figure | None

    @property
    def inspectors(self) -> list[str]:
        """The effect matrix's columns."""
        return sorted({cell.inspector for cell in self.effects})

    @property
    def cells(self) -> dict[tuple[str, str], Effect]:
        """(actor, inspector) -> the cell."""
        return {(cell.actor, cell.inspector): cell for cell in self.effects}

    @property
    def rewriters(self) -> list[Actor]:
        """Actors with a row in the effect matrix."""
        seen = {cell.actor for cell in self.effects}
        return [actor for actor in self.actors if actor.actor in seen]


def sections(results: Results) -> dict[str, Any]:
    """Arrange ``steps``: suite -> its systems with steps, in the order of the results."""
    found: dict[str, list[Steps]] = {}
    for suite in results.suites:
        for row in results.systems:
            key = (suite.name, row.system)
            actors = _of(results.actors, key)
            if row.suite == suite.name and actors:
                ident = f"paths-{sum(map(len, found.values()))}"
                found.setdefault(suite.name, []).append(_steps(results, key, actors, ident))
    return {"steps": found}


def _of(rows: Iterable[Any], key: tuple[str, str]) -> list[Any]:
    return [row for row in rows if (row.suite, row.system) == key]


def _steps(results: Results, key: tuple[str, str], actors: list[Actor], ident: str) -> Steps:
    examples, oracles = _of(results.examples, key), _of(results.oracles, key)
    title = f"{key[0]}: how {plural(len(examples), 'answer')} moved through {key[1]}"
    return Steps(
        *key,
        actors,
        _of(results.effects, key),
        _of(results.gains, key),
        _of(results.orders, key),
        oracles[0] if oracles else None,
        Figure(title, paths(ident, title, examples)) if examples else None,
    )


# How single answers moved ---------------------------------------------------------------------------------
_TOP, _PLOT, _FOOT = 50.0, 150.0, 62.0


def paths(ident: str, title: str, examples: Sequence[Example]) -> Markup:
    """Draw scores of single answers by step, one panel per answer, with each inspector's threshold."""
    names = sorted({name for example in examples for point in example.points for name in point.scores})
    series = {name: i for i, name in enumerate(names)}
    desc = "; ".join(
        f"{e.prompt_id}, {e.reason}: "
        + ", ".join(f"{n} {decimal(e.points[0].scores.get(n))} to {decimal(_last(e, n))}" for n in names)
        for e in examples
    )

    def draw(unique: str, width: float) -> Markup:
        canvas = Canvas(unique, title, desc)
        top = _key(canvas, series, width)
        columns = min(2 if width > 600 else 1, len(examples))
        panel, height = width / columns, _TOP + _PLOT + _FOOT
        for i, example in enumerate(examples):
            corner = (i % columns * panel, top + i // columns * height)
            _panel(canvas, corner, panel - 28, example, series)
        rows = -(-len(examples) // columns)
        return canvas.markup(width, top + rows * height - 8, "wide" if width > 600 else "narrow")

    return both(ident, draw)


def _last(example: Example, name: str) -> float | None:
    return next((p.scores[name] for p in reversed(example.points) if name in p.scores), None)


def _key(canvas: Canvas, series: Mapping[str, int], width: float) -> float:
    """Inspectors with their marks and the threshold's line; returns the top of the panels."""
    x, y = 8.0, 14.0
    for name, number in [*series.items(), ("threshold", -1)]:
        label = shortened(name, width - 60)
        step = text_width(label) + 42
        if x > 8 and x + step > width:
            x, y = 8.0, y + 20
        if number < 0:
            canvas.line(x - 6, y, x + 10, y, "ref")
        else:
            canvas.marker(x, y, number)
        canvas.text(x + 16, y + 4, label, "name")
        x += step
    return y + 24


def _panel(
    canvas: Canvas, corner: tuple[float, float], width: float, example: Example, series: Mapping[str, int]
) -> None:
    left, right, top = corner[0] + 40, corner[0] + width, corner[1] + _TOP

    def height(score: float) -> float:
        return top + _PLOT * (1 - min(max(score, 0.0), 1.0))

    canvas.text(corner[0] + 8, corner[1] + 16, shortened(example.prompt_id, width - 16, 13), "heading")
    canvas.text(corner[0] + 8, corner[1] + 33, f"{example.reason}; inspector score by step", "axis")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.line(left, height(tick), right, height(tick), "grid")
        canvas.text(left - 8, height(tick) + 4, decimal(tick), "tick", "end")
    for bound in sorted(set(example.thresholds.values())):
        canvas.line(left, height(bound), right, height(bound), "ref")
    gap = (right - left) / max(len(example.points), 1)
    spots = [left + gap * (i + 0.5) for i in range(len(example.points))]
    for i, (x, point) in enumerate(zip(spots, example.points, strict=True)):
        _label(canvas, x, top + _PLOT + 16, gap - 4, point.actor, point.action if i else "")
    for name, number in series.items():
        shift = (number - (len(series) - 1) / 2) * min(7.0, gap / (len(series) + 1))
        line = [
            (x + shift, p.scores[name])
            for x, p in zip(spots, example.points, strict=True)
            if name in p.scores
        ]
        canvas.path([(x, height(score)) for x, score in line], f"curve s{number % 8}")
        for x, score in line:
            canvas.marker(x, height(score), number, f"{name}: {decimal(score)}")


_ACTIONS = {"correct": "acts", "skip": "skips", "reject": "rejected", "pick": "picked", "copy": "copies"}


def _label(canvas: Canvas, x: float, y: float, width: float, actor: str, action: str) -> None:
    canvas.text(x, y, shortened(actor, width, 11), "tick tiny", "middle")
    if action:
        canvas.text(x, y + 14, shortened(_ACTIONS.get(action, action), width, 11), "tick tiny", "middle")
