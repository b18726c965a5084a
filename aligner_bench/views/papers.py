"""Show a published table as table, Markdown, CSV, JSON or LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from aligner_bench.papers.tables import PaperCell, PaperTable, trends
from aligner_bench.views.leaderboard import latex_line, markdown_line


def _shown(cell: PaperCell | None) -> str:
    return "–" if cell is None else cell.text + ("*" if cell.note else "")


def _title(table: PaperTable) -> str:
    meta = table.meta
    basis = "; ".join(part for part in (meta.judge, meta.suite) if part)
    kinds = ", ".join(dict.fromkeys(cell.definition for cell in table.cells))
    return f"{table.cells[0].source}: {meta.title} ({basis}{'; ' if basis else ''}{kinds}, {meta.unit})"


def lines(table: PaperTable) -> tuple[list[str], list[list[str]]]:
    """Format heads and rows as printed; a star marks a cell with a note."""
    heads, rows = table.grid()
    return [*table.meta.rows, *heads], [[*labels, *map(_shown, cells)] for labels, cells in rows]


def remarks(table: PaperTable) -> list[str]:
    """Collect the notes, then the trends over size."""
    return [*table.notes(), *(f"Trend over aligner size, {trend.sentence}" for trend in trends(table))]


def as_json(table: PaperTable) -> str:
    """Render the table's metadata, notes, trends and cells."""
    cells: list[dict[str, Any]] = [
        {**cell.labels, "value": cell.value, "printed": cell.text, **_counts(cell), **_words(cell)}
        for cell in table.cells
    ]
    data = {
        "schema_version": 1,
        "name": table.name,
        "paper": table.paper,
        **table.meta.model_dump(exclude={"trend", "notes"}),
        "notes": table.notes(),
        "trends": [trend._asdict() for trend in trends(table)],
        "cells": cells,
    }
    return json.dumps(data, indent=1, ensure_ascii=False)


def _counts(cell: PaperCell) -> dict[str, int | None]:
    return {"wins": cell.wins, "draws": cell.draws, "losses": cell.losses, "n": cell.n}


def _words(cell: PaperCell) -> dict[str, str]:
    return {"definition": cell.definition, "source": cell.source, "note": cell.note}


def as_csv(table: PaperTable) -> str:
    """Render one row per cell, with definition, source and note; values as printed."""
    stream = io.StringIO()
    heads = [*table.labels, "value", *_counts(table.cells[0]), *_words(table.cells[0])]
    writer = csv.DictWriter(stream, heads, lineterminator="\n")
    writer.writeheader()
    for cell in table.cells:
        writer.writerow({**cell.labels, "value": cell.text, **_counts(cell), **_words(cell)})
    return stream.getvalue().rstrip("\n")


def as_markdown(table: PaperTable) -> str:
    """Render the table in Markdown under its title, with the notes below it."""
    heads, rows = lines(table)
    body = [markdown_line(heads), markdown_line(["---"] * len(heads)), *map(markdown_line, rows)]
    return "\n".join([f"**{_title(table)}**", "", *body, "", *(f"- {line}" for line in remarks(table))])


def as_latex(table: PaperTable) -> str:
    """Render the table as a LaTeX tabular (booktabs)."""
    heads, rows = lines(table)
    columns = "l" * len(table.meta.rows) + "r" * (len(heads) - len(table.meta.rows))
    top = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", latex_line(heads), r"\midrule"]
    return "\n".join([*top, *map(latex_line, rows), r"\bottomrule", r"\end{tabular}"])


def print_paper(table: PaperTable) -> None:
    """Print the table, its notes and its trends."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, (heads, rows) = Console(), lines(table)
    shown = Table(box=box.SIMPLE_HEAD, title=Text(_title(table)), title_justify="left", pad_edge=False)
    for i, head in enumerate(heads):
        shown.add_column(head, justify="left" if i < len(table.meta.rows) else "right", overflow="fold")
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
    for remark in remarks(table):
        console.print(Text(f"• {remark}"))


FORMATS: dict[str, Callable[[PaperTable], str]] = {
    "json": as_json,
    "csv": as_csv,
    "md": as_markdown,
    "latex": as_latex,
}
