"""``aligner-bench judge``: audit a judge, calibrate it against human labels, compare it with another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aligner_bench.cli.options import AsText, LedgerFile, RunArg, TextOrJson
from aligner_bench.core.errors import UsageError, nearest

if TYPE_CHECKING:
    from aligner_bench.audits.calibrate import Bridge, Place
    from aligner_bench.experiment.experiment import Experiment
    from aligner_bench.runner.workbench import Workbench
    from aligner_bench.runs import Run

app = typer.Typer(
    no_args_is_help=True,
    help="Audit a judge, calibrate it against human labels, or compare it with another judge.",
)


@app.command()
def audit(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="An experiment, a run folder, or a file of outputs.")
    ],
    judge: Annotated[str | None, typer.Option(help="A judge of the experiment (default: all).")] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Maximum known pairs.")] = None,
    references: Annotated[
        Path | None, typer.Option(help="A file of reference outputs for the copy screen.")
    ] = None,
    format: AsText = TextOrJson.text,
    ledger: LedgerFile = None,
) -> None:
    """Audit a judge (known winners, canaries, position, length), a run, or outputs. Exit code 1: fails."""
    path = Path(target)
    if path.is_dir():
        reports: Sequence[Any] = [_audit_run(path)]
    elif path.suffix in (".json", ".jsonl", ".parquet"):
        reports = [_audit_outputs(path, references)]
    else:
        reports = _audit_judges(target, judge, pairs, ledger)
    from aligner_bench.cli import show_audit

    _print(reports, format, show_audit.show)
    raise typer.Exit(0 if all(show_audit.passed(report) for report in reports) else 1)


@app.command()
def calibrate(
    run: RunArg,
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS.csv",
            help="Columns prompt_id, label; optional: suite, candidate, baseline, rater.",
        ),
    ],
    judge: Annotated[str | None, typer.Option(help="The judge, if the run has several.")] = None,
    format: AsText = TextOrJson.text,
) -> None:
    """Compare a judge with human labels: kappa, sensitivity, specificity, and the corrected win rate."""
    from aligner_bench.audits.calibrate import calibrate as compute
    from aligner_bench.cli.show_audit import show_calibration
    from aligner_bench.runs import Run

    _print(compute(Run(run), labels, judge), format, show_calibration)


@app.command()
def bridge(
    run: RunArg,
    judge_b: Annotated[str, typer.Option(help="The second judge, by name.")],
    judge_a: Annotated[str | None, typer.Option(help="The first judge, if the run has several.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="The experiment that defines judge b (default: the run's).")
    ] = None,
    other: Annotated[Path | None, typer.Option(help="A run in which judge b judged the same pairs.")] = None,
    sample: Annotated[int | None, typer.Option(min=2, help="Judge a fixed sample of this many pairs.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    format: AsText = TextOrJson.text,
    ledger: LedgerFile = None,
) -> None:
    """Compare a second judge on a sample of a run's pairs: agreement, kappa, shift of the rate."""
    from aligner_bench.cli.show_audit import show_bridge

    found = _bridge(run, (judge_a, judge_b), experiment, other, (sample, seed), ledger)
    _print([found], format, show_bridge)


def _print(reports: Sequence[Any], format: TextOrJson, show: Any) -> None:
    if format is TextOrJson.text:
        for report in reports:
            show(report)
        return
    import json

    data = [report.model_dump(mode="json") for report in reports]
    typer.echo(json.dumps(data[0] if len(data) == 1 else data, indent=1))


def _audit_run(path: Path) -> Any:
    from aligner_bench.audits.run import audit_run
    from aligner_bench.runs import Run

    return audit_run(Run(path))


def _audit_outputs(path: Path, references: Path | None) -> Any:
    from aligner_bench.audits.screens import screen_outputs
    from aligner_bench.engines.replay import read_outputs

    others = read_outputs(references) if references else None
    return screen_outputs(read_outputs(path), others, system=path.stem)


def _audit_judges(target: str, judge: str | None, pairs: int | None, ledger: Path | None) -> list[Any]:
    from aligner_bench.audits.judge import audit as compute
    from aligner_bench.experiment.experiment import Experiment

    experiment = Experiment.load(target)
    if judge is not None and judge not in experiment.judges:
        raise UsageError(f"{target}: unknown judge {judge!r}; {nearest(judge, experiment.judges)}")
    if not experiment.judges:
        raise UsageError(f"{target}: defines no judges; there is nothing to audit")
    with _bench(experiment, ledger) as bench:
        return [compute(experiment, name, bench, pairs) for name in ([judge] if judge else experiment.judges)]


@contextmanager
def _bench(experiment: Experiment, ledger: Path | None) -> Iterator[Workbench]:
    from aligner_bench.core.cache import cache_dir
    from aligner_bench.runner.workbench import Workbench
    from aligner_bench.store.ledger import Ledger

    for name, spec in experiment.judges.items():
        spec.check_weights(name)
    with Ledger(ledger or cache_dir() / "ledger.sqlite") as book:
        yield Workbench(experiment.anchored_models(), experiment.inspectors, book)


def _bridge(
    path: Path,
    judges: tuple[str | None, str],
    experiment: str | None,
    other: Path | None,
    sampling: tuple[int | None, int],
    ledger: Path | None,
) -> Bridge:
    from aligner_bench.audits.calibrate import bridge as compute
    from aligner_bench.audits.calibrate import judge_rows, preferences, sampled
    from aligner_bench.runs import Run

    run = Run(path)
    name_a, rows = judge_rows(run, judges[0])
    a = preferences(rows)
    if other is not None:
        second = Run(other)
        name_b, rows_b = judge_rows(second, judges[1])
        b = preferences(rows_b)
        places = sampled([place for place in a if place in b], *sampling)
        identity_b = _identity(second, name_b)
        if not places:
            raise UsageError(f"{other}: {name_b} judged none of the pairs that {name_a} judged in {path}")
    else:
        name_b, places = (
            judges[1],
            sampled([p for p, found in a.items() if found.status != "missing"], *sampling),
        )
        b, identity_b = _rejudged(run, name_b, places, experiment, ledger)
    families = {(r["suite"], r["prompt_id"]): r["family"] or r["prompt_id"] for r in run.rows("prompts")}
    return compute((name_a, name_b), (_identity(run, name_a), identity_b), a, b, places, families)


def _identity(run: Run, judge: str) -> str:
    return str(next(row["identity"] for row in run.rows("judges") if row["judge"] == judge))


def _rejudged(
    run: Run, judge: str, places: Sequence[Place], experiment: str | None, ledger: Path | None
) -> tuple[dict[Place, Any], str]:
    from aligner_bench.audits.calibrate import rejudge
    from aligner_bench.core.hashing import digest
    from aligner_bench.experiment.experiment import Experiment

    if experiment is not None:
        source = Experiment.load(experiment)
    elif "experiment" in run.manifest:
        source = Experiment.stored(run.manifest["experiment"])
    else:
        raise UsageError(
            f"{run.path}: has no experiment; give the one that defines judge {judge!r} with --experiment"
        )
    if judge not in source.judges:
        where = experiment or f"the experiment of {run.path}"
        raise UsageError(f"{where}: unknown judge {judge!r}; {nearest(judge, source.judges)}")
    second = source.make_judges()[judge]
    with _bench(source, ledger) as bench:
        return rejudge(run, places, second, bench), digest(second.identity(bench))
