"""The ``aligner-bench`` command. Known errors end as one line on stderr and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aligner_bench import __version__
from aligner_bench.cli import interchange, judge, ledger, simulate, suites
from aligner_bench.cli.compare import compare
from aligner_bench.cli.doctor import doctor
from aligner_bench.cli.gate import gate
from aligner_bench.cli.options import AsText, DataDir, ExperimentArg, LedgerFile, RunArg, TextOrJson
from aligner_bench.cli.schema import schema
from aligner_bench.cli.show_calls import show_calls
from aligner_bench.cli.tax import tax
from aligner_bench.cli.verify import verify
from aligner_bench.core.errors import FileFaultsError, UsageError
from aligner_bench.core.textsafe import terminal_safe

if TYPE_CHECKING:
    from aligner_bench.experiment.experiment import Experiment
    from aligner_bench.runner.progress import Progress
    from aligner_bench.runs import Run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does this aligner help, where, by how much, at what cost, and how sure are we?",
)


app.add_typer(suites.app, name="suites")


app.add_typer(ledger.app, name="ledger")


app.add_typer(judge.app, name="judge")


app.add_typer(simulate.app, name="simulate")


app.add_typer(interchange.importing, name="import")


app.add_typer(interchange.exporting, name="export")


app.command()(compare)


app.command()(doctor)


app.command()(gate)


app.command()(schema)


app.command()(tax)


app.command()(verify)


Out = Annotated[Path | None, typer.Option("--out", "-o", help="The run folder (default: runs/NAME).")]
Limit = Annotated[int | None, typer.Option(help="Maximum prompts per suite: a seeded, balanced subset.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", metavar="USD", help="Stop before the cost exceeds this.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run of another experiment.")]
Memory = Annotated[
    float | None,
    typer.Option(help="Memory limit in GiB for all loaded models (default: most of the device's)."),
]


class Scale(StrEnum):
    """Scale of a run: full, or smoke (small stand-in models and few prompts)."""

    full = "full"
    smoke = "smoke"


class Format(StrEnum):
    """Output format of a leaderboard."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"aligner-bench {__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: Out = Path("runs/quickstart"), limit: Limit = None, ledger: LedgerFile = None, quiet: Quiet = False
) -> None:
    """Run the quickstart experiment and write its report, offline, on a CPU."""
    run_(
        "quickstart",
        out=out,
        limit=limit,
        scale=Scale.full,
        data_dir=None,
        ledger=ledger,
        quiet=quiet,
        overwrite=True,
        max_cost=None,
    )


@app.command()
def plan(
    experiment: ExperimentArg,
    limit: Limit = None,
    scale: Scale = Scale.full,
    data_dir: DataDir = None,
    format: AsText = TextOrJson.text,
) -> None:
    """Show items, schedule, tokens, price and detectable effect, without running anything."""
    from aligner_bench.cli.show_plan import show
    from aligner_bench.runner.plan import make_plan
    from aligner_bench.runner.plan_report import plan_report

    wanted = _load(experiment, limit, scale)
    report = plan_report(wanted, make_plan(wanted, data_dir))
    if format is TextOrJson.json:
        typer.echo(report.model_dump_json(indent=1))
    else:
        show(report)


@app.command("run")
def run_(
    experiment: ExperimentArg,
    out: Out = None,
    limit: Limit = None,
    scale: Scale = Scale.full,
    data_dir: DataDir = None,
    ledger: LedgerFile = None,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    max_cost: MaxCost = None,
    memory: Memory = None,
) -> None:
    """Answer, correct, judge and report; finished work is reused from the ledger."""
    from aligner_bench.runner.run import run
    from aligner_bench.views.leaderboard import print_table

    if max_cost is not None and not max_cost > 0:
        raise UsageError(f"--max-cost {max_cost:g}: expected US dollars above 0")
    wanted = _load(experiment, limit, scale)
    with _progress(quiet) as progress:
        finished = run(
            wanted,
            out,
            data_dir=data_dir,
            ledger=ledger,
            progress=progress,
            overwrite=overwrite,
            max_cost=max_cost,
            memory=memory,
        )
    print_table(finished.results())
    _closing(finished)


@app.command()
def leaderboard(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="RUN...", help="Run folders.")] = None,
    papers: Annotated[
        str | None, typer.Option(help="A published table, such as ngweta2024/table3; 'list' lists all.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
) -> None:
    """Show the numbers of runs, of a published table, or of a run beside the table that it reproduces."""
    if papers is not None or not runs:
        from aligner_bench.cli.show_papers import show

        show(papers, runs or [], format.value)
        return
    from aligner_bench.runs import Run, merged
    from aligner_bench.views.leaderboard import FORMATS, print_table

    results = merged([Run(path) for path in runs])
    if format is Format.table:
        print_table(results)
    else:
        typer.echo(FORMATS[format](results))


@app.command()
def report(
    run: RunArg,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The HTML file.")] = None,
    recompute: Annotated[
        bool,
        typer.Option(
            "--recompute", help="Write leaderboard.json again, too, as for a run of an older version."
        ),
    ] = False,
) -> None:
    """Write the report as one self-contained HTML file."""
    from aligner_bench.runs import Run

    finished = Run(run)
    page = finished.publish() if recompute else None
    typer.echo(str(finished.report(out) if page is None or out is not None else page))


def _load(name: str, limit: int | None, scale: Scale) -> Experiment:
    from aligner_bench.experiment.experiment import Experiment

    return Experiment.load(name, scale.value).limited(limit)


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    from aligner_bench.cli.progress import ShownProgress
    from aligner_bench.runner.progress import Silent

    if quiet:
        yield Silent()
    else:
        with ShownProgress() as shown:
            yield shown


def _closing(finished: Run) -> None:
    done = sum(finished.manifest["ledger"]["done"].values())
    reused = sum(finished.manifest["ledger"]["reused"].values())
    if finished.nothing_to_do:
        done, reused = 0, done + reused
    typer.echo(f"\nwork items: {done} computed, {reused} reused")
    if not finished.nothing_to_do and finished.manifest.get("spent", {}).get("usd"):
        from aligner_bench.engines.costs import dollars

        typer.echo(f"spent: {dollars(finished.manifest['spent']['usd'])}")
    if not finished.nothing_to_do:
        show_calls(finished.manifest.get("engines", {}))
    typer.echo(f"report: {finished.path / 'report.html'}")


def main() -> None:
    """Run the command: a usage error is one line, or one a fault of a file, and exit code 2; Ctrl-C: 130."""
    try:
        app()
    except UsageError as error:
        for fault in error.lines if isinstance(error, FileFaultsError) else [str(error)]:
            print(f"aligner-bench: {' '.join(terminal_safe(fault).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "aligner-bench: interrupted; finished work is in the ledger, run the command again to resume",
            file=sys.stderr,
        )
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
