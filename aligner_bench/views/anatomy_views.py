"""Show the anatomy of rewrites: tables by system, and win rates by the size of the edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aligner_bench.results.anatomy import ALL, Anatomy, Change, Crossing
from aligner_bench.results.judges import JudgePower
from aligner_bench.results.schema import Results
from aligner_bench.texts.edits import TOKENISER as TOKENISER
from aligner_bench.views import charts
from aligner_bench.views.charts import Axis, Group, Mark
from aligner_bench.views.layout import Figure, power_words


@dataclass(frozen=True, slots=True)
class Anatomies:
    """The rows about the rewrites on one suite."""

    suite: str
    systems: list[Anatomy]
    categories: list[Anatomy]
    crossings: list[Crossing]
    changes: list[Change]
    figures: list[Figure]


def sections(results: Results) -> dict[str, Any]:
    """Arrange ``anatomies``: one entry per suite with rewrites."""
    found = []
    for no, suite in enumerate(results.suites):
        rows = [row for row in results.anatomy if row.suite == suite.name]
        if rows:
            found.append(
                Anatomies(
                    suite.name,
                    [row for row in rows if row.category == ALL],
                    [row for row in rows if row.category != ALL],
                    [row for row in results.crossings if row.suite == suite.name],
                    [row for row in results.changes if row.suite == suite.name],
                    _bin_figures(results, suite.name, no),
                )
            )
    return {"anatomies": found}


def _bin_figures(results: Results, suite: str, number: int) -> list[Figure]:
    """One chart per judge: the weighted rate by size of the edit."""
    figures = []
    for place, judge in enumerate(results.judges):
        rows = [row for row in results.edit_bins if (row.suite, row.judge) == (suite, judge.judge)]
        groups: dict[str, Group] = {}
        for row in rows:
            label = f"{row.system} against {row.baseline}"
            group = groups.setdefault(label, Group(label, []))
            group.marks.append(Mark(0, row.bin, row.rate, f"n {row.rate.n}"))
        if groups:
            figures.append(_bin_figure(judge, suite, list(groups.values()), f"bins-{number}-{place}"))
    return figures


def _bin_figure(judge: JudgePower, suite: str, groups: list[Group], ident: str) -> Figure:
    title = f"{suite}: win rate by the size of the edit, judge {judge.judge}"
    axis = Axis("weighted rate among answers with this edit ratio; right of 50 % is better")
    note = "" if judge.has_power else f"{power_words(judge)[1]}: shown for reference"
    return Figure(title, charts.forest(ident, title, groups, axis), bool(note), note)
