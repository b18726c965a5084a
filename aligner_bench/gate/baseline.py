"""Read and write the stored baseline: the values of a run that a paired test needs, without its texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import write_text
from aligner_bench.core.hashing import canonical_json, digest
from aligner_bench.core.textsafe import one_line
from aligner_bench.gate.tax import read_tax, tax_hashes, tax_questions, tax_series
from aligner_bench.results.measures.systems import TAX
from aligner_bench.results.number import Number, Published
from aligner_bench.results.schema import Results
from aligner_bench.results.series import Key, observations, questions
from aligner_bench.runs import Run
from aligner_bench.store.tables import COLUMNS
from aligner_bench.tax.shape import TaxReport


class BaselineSuite(Published):
    """A suite's prompts, in one order for all series."""

    content_hash: str
    prompt_ids: list[str]
    families: list[str]
    categories: list[str]


class BaselineJudge(Published):
    """A judge or rater, and whether it had power."""

    identity: str
    has_power: bool


class BaselineSeries(Published):
    """One metric of one system or comparison; ``values`` are in the order of the suite's prompt_ids."""

    metric: str
    suite: str
    judge: str
    system: str
    baseline: str
    values: list[float | None]

    @property
    def key(self) -> Key:
        """The key of the series."""
        return Key.of(self)


class BaselineEstimate(Published):
    """A number that is not a mean over prompts and cannot be paired: the length-controlled rate."""

    metric: Literal["lc"]
    suite: str
    judge: str
    system: str
    baseline: str
    number: Number

    @property
    def key(self) -> Key:
        """The key of the estimate."""
        return Key.of(self)


class Baseline(Published):
    """A stored baseline. No times in it: the same run gives the same bytes."""

    kind: Literal["aligner-bench gate baseline"] = "aligner-bench gate baseline"
    schema_version: Literal[1] = 1
    experiment: str
    experiment_hash: str
    scale: Literal["full", "smoke"]
    suites: dict[str, BaselineSuite]
    judges: dict[str, BaselineJudge]
    series: list[BaselineSeries]
    estimates: list[BaselineEstimate]
    digest: str = Field("", description="SHA-256 of the canonical JSON of everything else")

    def made_digest(self) -> str:
        """The digest of the content."""
        return digest(self.model_dump(mode="json", exclude={"digest"}))


def make_baseline(run: Run, results: Results | None = None, tax: TaxReport | None = None) -> Baseline:
    """Make the baseline of a run; ``results`` are the run's own, where they are already computed.

    ``tax`` is the report of its systems' tax, else the one in the run's folder.
    """
    results = results or run.results()
    tables = {name: run.rows(name) for name in COLUMNS}
    asked = questions(tables)
    hashes = {suite.name: suite.content_hash for suite in results.suites}
    found = observations(tables)
    tax = tax or read_tax(run)
    if tax is not None:
        asked, hashes = asked | tax_questions(tax), hashes | tax_hashes(tax)
        found += tax_series(tax)
    order = {suite: sorted(found) for suite, found in asked.items()}
    made = Baseline(
        experiment=results.experiment,
        experiment_hash=results.experiment_hash,
        scale=results.scale,
        suites={
            suite: BaselineSuite(
                content_hash=hashes[suite],
                prompt_ids=ids,
                families=[asked[suite][p].family for p in ids],
                categories=[asked[suite][p].category for p in ids],
            )
            for suite, ids in sorted(order.items())
        },
        judges={
            judge.judge: BaselineJudge(identity=judge.identity, has_power=judge.has_power)
            for judge in sorted(results.judges, key=lambda judge: judge.judge)
        }
        | {
            rater.rater: BaselineJudge(identity=rater.identity, has_power=rater.has_power)
            for rater in sorted(results.raters, key=lambda rater: rater.rater)
        },
        series=[
            BaselineSeries(**s.key._asdict(), values=[s.values.get(p) for p in order[s.key.suite]])
            for s in sorted(found, key=lambda s: s.key)
        ],
        estimates=length_controlled(results),
    )
    return made.model_copy(update={"digest": made.made_digest()})


def without_tax(baseline: Baseline) -> Baseline:
    """Copy the baseline without capability tasks, for runs without a tax report."""
    series = [s for s in baseline.series if s.metric != TAX.name]
    tasks = {s.suite for s in baseline.series if s.metric == TAX.name}
    suites = {name: suite for name, suite in baseline.suites.items() if name not in tasks}
    left = baseline.model_copy(update={"series": series, "suites": suites})
    return left.model_copy(update={"digest": left.made_digest()})


def length_controlled(results: Results) -> list[BaselineEstimate]:
    """Collect the length-controlled rates of a run, where it has them."""
    found = []
    for row in sorted(results.rows, key=lambda row: (row.suite, row.judge, row.system, row.baseline)):
        number = getattr(getattr(row, "length", None), "rate", None)
        if isinstance(number, Number) and number.value is not None:
            place = {"suite": row.suite, "judge": row.judge, "system": row.system, "baseline": row.baseline}
            found.append(BaselineEstimate(metric="lc", **place, number=number))
    return found


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write the baseline as JSON with one series per line, for readable diffs in version control."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder; expected a place for the baseline")
    data: dict[str, Any] = baseline.model_dump(mode="json")
    parts = [f"{json.dumps(key)}: {_spread(value)}" for key, value in data.items()]
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _spread(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n " + ",\n ".join(map(canonical_json, value)) + "\n]"
    if isinstance(value, dict) and value:
        return "{\n " + ",\n ".join(f"{json.dumps(k)}: {canonical_json(v)}" for k, v in value.items()) + "\n}"
    return json.dumps(value)


def read_baseline(path: Path) -> Baseline:
    """Read a stored baseline; UsageError for another kind of file, or one changed after it was saved."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); expected a baseline that `gate RUN --save-baseline "
            "FILE` wrote"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path}: is not JSON ({one_line(str(error))}); expected a baseline") from None
    try:
        baseline = Baseline.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: is not a gate baseline: {field}: {one_line(first['msg'])}") from None
    if baseline.digest != baseline.made_digest():
        raise UsageError(f"{path}: was changed after it was saved (its digest does not match)")
    for series in baseline.series:
        suite = baseline.suites.get(series.suite)
        if suite is None or len(series.values) != len(suite.prompt_ids):
            raise UsageError(f"{path}: {series.key}: its values do not match the prompts of its suite")
    return baseline
