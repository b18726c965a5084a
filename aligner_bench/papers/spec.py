"""What an experiment file says of the published table that it repeats, and the cells that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from aligner_bench.core.spec import Spec
from aligner_bench.papers.tables import PaperCell, PaperTable, load_table

_CATEGORY = "category"


class PaperSpec(Spec):
    """A published table and how its cells are found: by labels of candidate, baseline and suite."""

    table: str = Field(description="such as ngweta2024/table3")
    judge: str = Field(description="the judge of this experiment that does what the paper's judge did")
    labels: dict[str, dict[str, str]] = Field(description="system -> labels of the table")
    suites: dict[str, dict[str, str]] = Field({}, description="suite -> labels of the table")


def cells(
    spec: PaperSpec, comparisons: Iterable[tuple[str, str]], suites: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one entry per cell of the table that the comparisons reproduce, as plain data for the manifest.

    Rates are fractions. A table whose cells are categories has one entry for each category. UsageError where
    labels fit no cell, or more than one.
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
