"""Print published tables on the terminal, alone or beside runs that reproduce them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from aligner_bench.core.errors import UsageError


def show(name: str | None, runs: Sequence[Path], format: str) -> None:
    """Print a published table, or the names of all. UsageError if there is nothing to show."""
    from aligner_bench.papers.tables import load_table, paper_names
    from aligner_bench.views import papers as views

    if name is None:
        raise UsageError("leaderboard: name a run folder, or a published table with --papers")
    if name == "list":
        for one in paper_names():
            typer.echo(f"{one:28} {load_table(one).meta.title}")
        return
    table = load_table(name)
    if runs:
        _beside(name, runs, format)
        return
    if format == "table":
        views.print_paper(table)
    else:
        typer.echo(views.FORMATS[format](table))


def _beside(name: str, runs: Sequence[Path], format: str) -> None:
    """Print the cells of a published table beside those of runs that reproduce it."""
    from aligner_bench.runs import Run, merged
    from aligner_bench.views import published

    results = merged([Run(path) for path in runs])
    repeated = list(dict.fromkeys(row.table for row in results.papers))
    if name not in repeated:
        hint = (
            f"it reproduces {', '.join(repeated)}" if repeated else "its experiment names no table (paper:)"
        )
        raise UsageError(f"{runs[0]}: does not reproduce {name}; {hint}")
    results = results.model_copy(update={"papers": [row for row in results.papers if row.table == name]})
    if format == "table":
        published.print_published(results)
    else:
        typer.echo(published.FORMATS[format](results))
