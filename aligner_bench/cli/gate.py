"""``aligner-bench gate``: test whether a run may replace the baseline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aligner_bench.cli.options import AsText, RunArg, TextOrJson, check_margin

if TYPE_CHECKING:
    from aligner_bench.gate.baseline import Baseline
    from aligner_bench.gate.decide import GateReport
    from aligner_bench.gate.policy import Policy


def gate(
    run: RunArg,
    baseline: Annotated[
        Path | None, typer.Option(help="The baseline file, written by --save-baseline.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Margins and families (YAML; default: all metrics).")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(metavar="PP", help="Largest accepted loss in percentage points (default: 3)."),
    ] = None,
    tax: Annotated[
        Path | None, typer.Option(help="Report of `aligner-bench tax -o` (default: RUN/tax.json if present).")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Write Markdown here (in a GitHub job: append).")
    ] = None,
    save_baseline: Annotated[
        Path | None, typer.Option(help="Store this run as a baseline; with --baseline only if it passes.")
    ] = None,
    format: AsText = TextOrJson.text,
) -> None:
    """Gate a run: test paired non-inferiority to the baseline, by a margin.

    Exit code 0: pass; 1: fail; 3: inconclusive, with the number of prompts that would decide; 2: usage error,
    including a judge or prompts that differ from the baseline's. Categories of 50 prompts are nearly always
    inconclusive: gate the whole suite, and make categories advisory in a policy.
    """
    from aligner_bench.gate.baseline import make_baseline, read_baseline, write_baseline
    from aligner_bench.gate.decide import decide
    from aligner_bench.gate.tax import read_tax
    from aligner_bench.runs import Run

    _check(baseline, save_baseline, margin, (junit, summary))
    new = Run(run)
    taxed = read_tax(new, tax)
    if baseline is not None:
        stored = read_baseline(baseline)
        report = decide(new, stored, _policy(policy, stored), margin, taxed)
        _write(report, junit, summary, format)
        if report.exit_code:
            if save_baseline is not None:
                typer.echo(f"{save_baseline}: not written: the gate did not pass", err=True)
            raise typer.Exit(report.exit_code)
    if save_baseline is not None:
        write_baseline(make_baseline(new, tax=taxed), save_baseline)
        typer.echo(f"baseline: {save_baseline}", err=True)


def _check(
    baseline: Path | None, save_baseline: Path | None, margin: float | None, outputs: tuple[Path | None, ...]
) -> None:
    from aligner_bench.core.errors import UsageError

    if baseline is None and save_baseline is None:
        raise UsageError("gate: --baseline FILE is missing; --save-baseline FILE makes one from a run")
    check_margin(margin)
    for path in (*outputs, save_baseline):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such folder")


def _policy(path: Path | None, stored: Baseline) -> Policy:
    from aligner_bench.gate.policy import Policy, check_names, read_policy

    if path is None:
        return Policy()
    policy, document = read_policy(path)
    check_names(policy, document, [*(s.key for s in stored.series), *(e.key for e in stored.estimates)])
    return policy


def _write(report: GateReport, junit: Path | None, summary: Path | None, format: TextOrJson) -> None:
    from aligner_bench.core.files import write_text
    from aligner_bench.gate.outputs import FORMATS, as_annotations, as_junit, as_markdown

    typer.echo(FORMATS[format.value](report))
    if junit is not None:
        write_text(junit, as_junit(report))
    if summary is not None and str(summary) == os.environ.get("GITHUB_STEP_SUMMARY"):
        with summary.open("a", encoding="utf-8") as stream:  # shared by all steps of the job
            stream.write(as_markdown(report))
    elif summary is not None:
        write_text(summary, as_markdown(report))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in as_annotations(report):
            typer.echo(line, err=format is TextOrJson.json)
