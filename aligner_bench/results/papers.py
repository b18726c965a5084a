"""Compare the run with a published table that it repeats: each cell, ours, and the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from aligner_bench.core.preferences import combine
from aligner_bench.results.measures import comparisons as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.store.tables import Row, group

if TYPE_CHECKING:
    from aligner_bench.results.comparisons import Comparison

Tables = Mapping[str, Sequence[Row]]
_NAMES = ("suite", "system", "baseline", "category", "row", "column", "source")
_SHARES = ("strict", "strict_all", "discrete", "macro")


class PaperRow(Published):
    """One published cell and our rate by the paper's own definition, both as fractions."""

    origin: ClassVar = Origin("verdicts", {"system": "candidate"})
    table: str
    suite: str
    judge: str = Field(description="ours")
    system: str
    baseline: str
    category: str | None
    row: str = Field(description="the cell's row in the published table")
    column: str = Field(description="the cell's column in the published table")
    source: str
    definition: str
    published: Annotated[float, m.PAPER_VALUE]
    published_n: Annotated[int | None, m.PAPER_N]
    ours: Annotated[Number, m.PAPER_OURS]
    difference: Annotated[Number | None, m.PAPER_DIFFERENCE]
    comparable: bool
    note: str = Field(description="why the two cannot be compared; empty where they can")
    remark: str = Field(description="what is known of the published value, such as a misprint")


def differs(row: PaperRow) -> bool:
    """Test whether ours differs from the published rate: the interval of the difference excludes 0."""
    found = row.difference
    if found is None or found.lower is None or found.upper is None:
        return False
    return found.lower > 0 or found.upper < 0


def paper_rows(
    tables: Tables, rows: Sequence[Comparison], paper: Mapping[str, Any] | None, scale: str
) -> list[PaperRow]:
    """Compute every cell of the declared table; none where the experiment names no table."""
    if paper is None:
        return []
    found = {(row.suite, row.judge, row.system, row.baseline): row for row in rows}
    return [_row(tables, found, paper, cell, scale) for cell in paper["cells"]]


def _row(
    tables: Tables,
    found: Mapping[tuple[str, str, str, str], Comparison],
    paper: Mapping[str, Any],
    cell: Mapping[str, Any],
    scale: str,
) -> PaperRow:
    row = found.get((cell["suite"], paper["judge"], cell["system"], cell["baseline"]))
    ours = _ours(tables, row, cell) if row is not None else None
    ours = ours or Number(value=None, lower=None, upper=None, n=0, method="none")
    reason = _reason(row, ours, scale)
    return PaperRow(
        table=paper["table"],
        judge=paper["judge"],
        **{name: cell[name] for name in _NAMES},
        definition=cell["definition"],
        published=cell["value"],
        published_n=cell["n"],
        ours=ours,
        difference=difference(ours, cell["value"], cell["n"], cell["definition"]),
        comparable=not reason,
        note=reason,
        remark=cell["note"],
    )


def _reason(row: Comparison | None, ours: Number, scale: str) -> str:
    """Why the two numbers cannot be compared; empty where they can."""
    if scale == "smoke":
        return "not comparable: smoke run, stand-in models and few other prompts"
    if row is None or ours.value is None:
        return "not in this run"
    return "" if row.has_power else "not comparable: our judge has no discriminating power"


def _ours(tables: Tables, row: Comparison, cell: Mapping[str, Any]) -> Number | None:
    """Our rate under the paper's definition."""
    if cell["category"] is not None:
        parts = [part for part in row.by_category if part.category == cell["category"]]
        return parts[0].rates.get(cell["definition"]) if parts else None
    if cell["definition"] == "macro":
        return _macro(tables, row)
    return row.rates.get(cell["definition"])


def _macro(tables: Tables, row: Comparison) -> Number:
    prompts = {p["prompt_id"]: p for p in tables["prompts"] if p["suite"] == row.suite}
    wanted = (row.suite, row.judge, row.system, row.baseline)
    verdicts = group(tables["verdicts"], "suite", "judge", "candidate", "baseline").get(wanted, [])
    judged = {k: combine(pair).value for (k,), pair in group(verdicts, "prompt_id").items()}
    values = {k: value for k, value in judged.items() if value is not None}
    families = [prompts[k]["family"] or k for k in values]
    categories = [prompts[k]["category"] for k in values]
    made: Number = m.MACRO(list(values.values()), families, categories)
    return made


def difference(ours: Number, published: float, n: int | None, definition: str) -> Number | None:
    """Compute ours minus the published rate, with an interval.

    Where the paper's n is known and its rate is a share, that rate gets Wilson's interval and both are joined
    by MOVER (Zou and Donner 2008, Stat. Med. 27:1693); elsewhere it counts as exact, and ``method`` says so.
    """
    if ours.value is None or ours.lower is None or ours.upper is None:
        return None
    low, high, method = published, published, f"{ours.method}, published rate taken as exact"
    if n and definition in _SHARES:
        from aligner_bench.stats.intervals import wilson

        other = wilson(round(published * n), n)
        low, high, method = min(other.lower, published), max(other.upper, published), "mover"
    made: Number = m.PAPER_DIFFERENCE(ours, published, low, high, method)
    return made
