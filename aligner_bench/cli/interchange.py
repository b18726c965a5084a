"""``aligner-bench import`` and ``export``: exchange results with other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligner_bench.cli.options import RunArg

importing = typer.Typer(no_args_is_help=True, help="Import results of other tools as a run.")
exporting = typer.Typer(no_args_is_help=True, help="Export a run in other tools' formats.")


@importing.callback()
def _importing() -> None:
    """Keep ``import alpaca-eval`` a sub-command."""


@exporting.callback()
def _exporting() -> None:
    """Keep ``export alpaca-eval`` a sub-command."""


@importing.command("alpaca-eval")
def import_alpaca_eval(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="MODEL folders, their parent folders, or JSON files."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="The run folder.")],
    suite: Annotated[str | None, typer.Option(help="Name of the suite, if it is not AlpacaEval's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another run.")] = False,
    gamed: Annotated[
        Path | None,
        typer.Option(
            help="AlpacaEval's df_gamed.csv, for its length-controlled rate instead of LC (minimal)."
        ),
    ] = None,
) -> None:
    """Import AlpacaEval 2 results (annotations.json, model_outputs.json) as a run."""
    from aligner_bench.interchange.alpaca_import import import_alpaca_eval
    from aligner_bench.views.leaderboard import print_table

    run = import_alpaca_eval(paths, out, suite=suite, overwrite=overwrite, gamed=gamed)
    print_table(run.results())
    typer.echo(f"\nrun: {run.path}\nreport: {run.path / 'report.html'}")


@exporting.command("alpaca-eval")
def export_alpaca_eval(
    run: RunArg,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder; created if missing.")
    ],
) -> None:
    """Export model_outputs.json, annotations.json and leaderboards in AlpacaEval's format."""
    from aligner_bench.interchange.alpaca_export import export_alpaca_eval
    from aligner_bench.runs import Run

    for path in export_alpaca_eval(Run(run), out):
        typer.echo(str(path))
