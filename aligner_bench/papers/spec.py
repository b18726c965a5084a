"""The published table that an experiment reproduces, and its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from aligner_bench.core.spec import Spec
from aligner_bench.papers.tables import PaperCell, PaperTable, load_table

_CATEGORY = "category"


class PaperSpec(Spec):
    """A published table; its cells are found by the labels of candidate, baseline and suite."""

    table: str = Field(description="name of the table, such as ngweta2024/table3")
    judge: str = Field(description="the judge of this experiment that corresponds to the paper's judge")
    labels: dict[str, dict[str, str]] = Field(description="system -> labels of the table")
    suites: dict[str, dict[str, str]] = Field({}, description="suite -> labels of the table")


def cells(
    spec: PaperSpec, comparisons: Iterable[tuple[str, str]], suites: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one entry per cell of the table that the comparisons reproduce, as plain data for the manifest.

    Rates are fractions. A table whose cells are categories has one entry per category. UsageError if labels
    match no cell or several.
    """
    table = load_table(spec.table)
    found = []
    for candidate, baseline in dict.fromkeys(comparisons):
        for suite in suites:
            wanted = _labels(spec, candidate, baseline, suite)
            for cell in _wanted(table, wanted):
                found.append(_entry(table, cell, candidate, baseline, suite))
    return found


def _labels(spec: PaperSpec, candidate: str, baseline: str, suite: str) -> dict[str, str]:
    own: Mapping[str, str] = spec.labels.get(candidate, {})
    return {**own, **spec.labels.get(baseline, {}), **spec.suites.get(suite, {})}


def _wanted(table: PaperTable, labels: Mapping[str, str]) -> list[PaperCell]:
    if _CATEGORY not in table.labels:
        return [table.cell(labels)]
    names = dict.fromkeys(cell.labels[_CATEGORY] for cell in table.cells)
    return [table.cell({**labels, _CATEGORY: name}) for name in names]


def _entry(table: PaperTable, cell: PaperCell, candidate: str, baseline: str, suite: str) -> dict[str, Any]:
    return {
        "system": candidate,
        "baseline": baseline,
        "suite": suite,
        "category": cell.labels.get(_CATEGORY),
        "row": table.row(cell),
        "column": table.column(cell),
        "value": cell.value / table.scale,
        "printed": cell.text,
        "n": cell.n if cell.n is not None else table.meta.n,
        "definition": cell.definition,
        "source": cell.source,
        "note": cell.note,
    }
