"""Show our rates next to a paper's, and trends over size, in the report and on the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aligner_bench.results.number import Number
from aligner_bench.results.papers import PaperRow, differs
from aligner_bench.results.schema import Results
from aligner_bench.views.leaderboard import interval, latex_line, markdown_line

_HEADS = (
    "cell",
    "system",
    "baseline",
    "suite",
    "judge",
    "definition",
    "ours %",
    "n",
    "paper %",
    "difference",
)


@dataclass(frozen=True, slots=True)
class Grid:
    """One published table, rows by columns, with our cells."""

    table: str
    source: str
    judge: str
    definitions: str
    columns: list[str]
    rows: list[tuple[str, list[PaperRow | None]]]
    notes: list[str]
    comparable: bool


def grids(results: Results) -> list[Grid]:
    """Arrange the published tables that the run repeats, in the paper's layout."""
    return [
        _grid([row for row in results.papers if (row.table, row.suite) == key])
        for key in dict.fromkeys((row.table, row.suite) for row in results.papers)
    ]


def _grid(found: Sequence[PaperRow]) -> Grid:
    columns = list(dict.fromkeys(row.column for row in found))
    cells = {(row.row, row.column): row for row in found}
    names = dict.fromkeys(row.row for row in found)
    return Grid(
        table=found[0].table,
        source=found[0].source,
        judge=found[0].judge,
        definitions=", ".join(dict.fromkeys(row.definition for row in found)),
        columns=columns,
        rows=[(name, [cells.get((name, column)) for column in columns]) for name in names],
        notes=[
            *dict.fromkeys(row.note for row in found if row.note),
            *(f"{row.row}, {row.column}: {row.remark}." for row in found if row.remark),
        ],
        comparable=any(row.comparable for row in found),
    )


def shade(row: PaperRow) -> str:
    """Choose the CSS class of a cell: direction of the difference, strong where the interval excludes 0."""
    found = row.difference
    if not row.comparable or found is None or found.value is None:
        return "muted"
    side = "win" if found.value > 0 else "loss" if found.value < 0 else "even"
    return f"{side} sure" if differs(row) else side


def points(number: Number | None) -> str:
    """Format a difference in points with its interval, or a dash."""
    return "–" if number is None else interval(number, signed=True)


def size(parameters: float) -> str:
    """Format a number of parameters in the usual short form: ``2.7B``, ``774M``."""
    big = parameters >= 1e9
    return f"{parameters / (1e9 if big else 1e6):.3g}{'B' if big else 'M'}"


def table_rows(results: Results) -> list[list[str]]:
    """Format the table's rows: one list of texts per published cell."""
    return [
        [
            f"{row.row}, {row.column}",
            row.system,
            row.baseline,
            row.suite,
            row.judge,
            row.definition,
            interval(row.ours),
            str(row.ours.n),
            f"{100 * row.published:.1f}" + ("*" if row.remark else ""),
            points(row.difference),
        ]
        for row in results.papers
    ]


def remarks(results: Results) -> list[str]:
    """Collect reasons, notes and trends, each once."""
    reasons = Counter(row.note for row in results.papers if row.note)
    starred = dict.fromkeys(f"* {row.remark}" for row in results.papers if row.remark)
    return [
        *(f"{note} ({n} of {len(results.papers)} cells)" for note, n in reasons.items()),
        *starred,
        *(trend.sentence for trend in results.trends),
    ]


def as_json(results: Results) -> str:
    """Render all cells and trends as JSON."""
    papers = [row.model_dump(mode="json") for row in results.papers]
    trends = [row.model_dump(mode="json") for row in results.trends]
    data = {"schema_version": 1, "scale": results.scale, "cells": papers, "trends": trends}
    return json.dumps(data, indent=1)


def as_csv(results: Results) -> str:
    """Render one row per cell as CSV; rates are fractions."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [name for name in PaperRow.model_fields if name not in ("ours", "difference")]
    ends = ("value", "lower", "upper", "n", "method")
    heads = [f"{name}_{end}" for name in ("ours", "difference") for end in ends]
    writer.writerow([*names, *heads])
    for row in results.papers:
        both = (row.ours, row.difference)
        numbers = [getattr(number, end) if number else None for number in both for end in ends]
        writer.writerow([*(getattr(row, name) for name in names), *numbers])
    return stream.getvalue().rstrip("\n")


def as_markdown(results: Results) -> str:
    """Render the cells as a Markdown table, followed by the remarks."""
    body = [
        markdown_line(_HEADS),
        markdown_line(["---"] * len(_HEADS)),
        *map(markdown_line, table_rows(results)),
    ]
    return "\n".join([*body, "", *(f"- {remark}" for remark in remarks(results))])


def as_latex(results: Results) -> str:
    """Render the cells as a LaTeX tabular (booktabs)."""
    top = [r"\begin{tabular}{llllllrrrr}", r"\toprule", latex_line(_HEADS), r"\midrule"]
    return "\n".join([*top, *map(latex_line, table_rows(results)), r"\bottomrule", r"\end{tabular}"])


def print_published(results: Results) -> None:
    """Print our rates next to the paper's."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for grid in grids(results):
        words = "" if grid.comparable else ", NOT comparable"
        basis = f"{grid.definitions}, judge {grid.judge}{words}; 95 % intervals"
        title = Text(f"ours next to {grid.source} ({basis})")
        table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
        for head in ("cell", "ours %", "n", "paper %", "difference"):
            table.add_column(head, justify="left" if head == "cell" else "right", overflow="fold")
        for line, row in zip(table_rows(results), results.papers, strict=True):
            if (row.table, row.source) == (grid.table, grid.source):
                table.add_row(*(Text(line[i]) for i in (0, 6, 7, 8, 9)))
        console.print(table)
    for remark in remarks(results):
        console.print(Text(f"• {remark}"))


FORMATS: dict[str, Callable[[Results], str]] = {
    "json": as_json,
    "csv": as_csv,
    "md": as_markdown,
    "latex": as_latex,
}
