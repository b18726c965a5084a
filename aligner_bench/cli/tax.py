"""``aligner-bench tax``: measure the capability lost by correction."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aligner_bench.cli.options import AsText, DataDir, ExperimentArg, LedgerFile, TextOrJson, check_margin

if TYPE_CHECKING:
    from aligner_bench.tax.shape import TaxReport


def tax(
    experiment: ExperimentArg,
    task: Annotated[
        list[str],
        typer.Option(
            "--task", "-t", help="A generation task of lm-eval, a task file, or suite:NAME. Repeatable."
        ),
    ],
    system: Annotated[
        list[str] | None, typer.Option("--system", help="A corrected system (default: all). Repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum questions per task.")] = None,
    margin: Annotated[
        float | None,
        typer.Option(metavar="PP", help="Gate: the largest accepted loss in percentage points."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the JSON report here.")] = None,
    data_dir: DataDir = None,
    ledger: LedgerFile = None,
    format: AsText = TextOrJson.text,
) -> None:
    """Measure capability by lm-eval tasks with and without the aligner, paired by question.

    With --margin it is a gate. Exit code 0: pass; 1: fail; 3: inconclusive, with the number of questions that
    would decide; 2: usage error.
    """
    from aligner_bench.core.cache import cache_dir
    from aligner_bench.core.errors import UsageError
    from aligner_bench.experiment.experiment import Experiment
    from aligner_bench.gate.decide import EXIT
    from aligner_bench.runner.workbench import Workbench
    from aligner_bench.store.ledger import Ledger
    from aligner_bench.tax.run import tax as compute

    check_margin(margin)
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such folder; expected a folder for the report")
    wanted = Experiment.load(experiment)
    with Ledger(ledger or cache_dir() / "ledger.sqlite") as book:
        bench = Workbench(wanted.anchored_models(), wanted.inspectors, book)
        with closing(bench):
            report = compute(wanted, bench, task, system or (), limit=limit, margin=margin, data_dir=data_dir)
    _print(report, out, format)
    raise typer.Exit(EXIT[report.outcome] if report.outcome else 0)


def _print(report: TaxReport, out: Path | None, format: TextOrJson) -> None:
    from aligner_bench.core.files import write_text

    data = report.model_dump_json(indent=1, by_alias=True)
    if out is not None:
        write_text(out, data + "\n")
    if format is TextOrJson.json:
        typer.echo(data)
    else:
        for row in report.rows:
            typer.echo(row.sentence)
