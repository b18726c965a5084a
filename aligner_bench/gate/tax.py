"""Gate the alignment tax: a task's metric is a suite, its questions are the prompts.

A value is the score without the corrector less the score with it, so that less is better.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.hashing import digest
from aligner_bench.core.textsafe import one_line
from aligner_bench.results.measures.systems import TAX
from aligner_bench.results.series import Key, Question, Series
from aligner_bench.runs import Run
from aligner_bench.tax.shape import TaxReport, TaxSample

FILE = "tax.json"
"""The default file in a run's folder."""


def read_tax(run: Run, path: Path | None = None) -> TaxReport | None:
    """Read the report of ``aligner-bench tax`` on a run's systems; None where the folder has none.

    UsageError for another kind of file, another experiment, or systems that the run lacks.
    """
    file = path or run.path / FILE
    if path is None and not file.is_file():
        return None
    try:
        report = TaxReport.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read ({error.strerror}); expected a file that `tax -o` wrote"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{file}: is not a tax report: {where}: {one_line(first['msg'])}") from None
    _check(file, report, run)
    return report


def _check(file: Path, report: TaxReport, run: Run) -> None:
    if report.experiment != run.facts.experiment:
        raise UsageError(
            f"{file}: is of the experiment {report.experiment!r}; expected {run.facts.experiment!r}"
        )
    systems = {row["system"] for row in run.tables()["responses"]}
    described, directed = {task.task for task in report.tasks}, {(r.task, r.metric) for r in report.rows}
    for sample in report.samples:
        if sample.system not in systems:
            raise UsageError(
                f"{file}: the run has no system {sample.system!r}; {nearest(sample.system, systems)}"
            )
        if sample.task not in described or (sample.task, sample.metric) not in directed:
            raise UsageError(f"{file}: lacks the version of {sample.task!r}; write it again with `tax -o`")


def tax_suite(sample: TaxSample) -> str:
    """Name the suite of a sample in keys."""
    return f"{sample.task}/{sample.metric}"


def tax_hashes(report: TaxReport) -> dict[str, str]:
    """Map suite -> identity of the task: its version and its questions."""
    tasks = {task.task: task for task in report.tasks}
    of_suite = {tax_suite(sample): tasks[sample.task] for sample in report.samples}
    hashes = {}
    for suite, asked in tax_questions(report).items():
        questions = digest([of_suite[suite].content_hash, sorted(asked)])
        hashes[suite] = f"version {of_suite[suite].version}, questions {questions[:16]}"
    return hashes


def tax_questions(report: TaxReport) -> dict[str, dict[str, Question]]:
    """Map suite -> question -> its family (itself where it has none), with the task as category."""
    found: dict[str, dict[str, Question]] = {}
    for s in report.samples:
        found.setdefault(tax_suite(s), {})[s.doc_id] = Question(s.family or s.doc_id, s.task)
    return found


def tax_series(report: TaxReport) -> Iterator[Series]:
    """Collect every system's tax on every metric of every task."""
    up = {(row.task, row.metric): row.higher_is_better for row in report.rows}
    values: dict[Key, dict[str, float]] = {}
    for s in report.samples:
        sign = 1 if up[s.task, s.metric] else -1
        key = Key(TAX.name, tax_suite(s), "", s.system, "")
        values.setdefault(key, {})[s.doc_id] = sign * (s.without - s.with_)
    return (Series(key, found) for key, found in values.items())
