"""Published tables of the papers by name, such as ``ngweta2024/table3``.

Each table is a CSV under ``leaderboards/papers/PAPER/`` (one row per cell, values as printed, with
definition, source and note) and an entry in that folder's ``tables.yaml``. None of the numbers is measured by
this project.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.packaged import packaged_dir
from aligner_bench.core.spec import Spec
from aligner_bench.core.yamlfile import read_yaml, validated

_FACTS = ("value", "wins", "draws", "losses", "n", "definition", "source", "note")
_MANY_NOTES = 6  # beyond these, notes on single cells are not printed one by one
Labels = Mapping[str, str]


def _flat(value: object) -> object:
    """Flatten a list with nested lists: YAML can repeat a list of notes but not splice it."""
    if not isinstance(value, list):
        return [value] if isinstance(value, str) else value
    return [one for part in value for one in (part if isinstance(part, list) else [part])]


_Names = Annotated[tuple[str, ...], BeforeValidator(_flat)]


class TrendMeta(Spec):
    """A test of a trend over model size: blocks in rows, sizes in columns, one test for each ``per``."""

    blocks: str
    per: _Names = ()
    over: str = Field("aligner_model", description="label whose values are the models")
    sizes: dict[str, float] = Field(description="model -> number of parameters, from its name")


class TableMeta(Spec):
    """Description of a table. ``rows`` and ``column`` name the labels by which its cells are laid out."""

    title: str
    judge: str = ""
    suite: str = ""
    unit: str = Field(description="fraction, percent, or another unit")
    rows: _Names
    column: _Names
    n: int | None = Field(None, description="number of prompts per cell, as planned in the paper")
    notes: _Names = ()
    trend: TrendMeta | None = None


class _PaperFile(Spec):
    paper: str
    tables: dict[str, TableMeta]


class PaperCell(NamedTuple):
    """One published number. ``text`` is as printed; counts are None where they are not published."""

    labels: dict[str, str]
    text: str
    wins: int | None
    draws: int | None
    losses: int | None
    n: int | None
    definition: str
    source: str
    note: str

    @property
    def value(self) -> float:
        """The number, in the table's unit."""
        return float(self.text)


@dataclass(frozen=True)
class PaperTable:
    """One published table."""

    name: str
    paper: str
    meta: TableMeta
    path: Path

    @cached_property
    def cells(self) -> tuple[PaperCell, ...]:
        """All cells in the order of the file."""
        with self.path.open(encoding="utf-8", newline="") as stream:
            return tuple(_cell(row) for row in csv.DictReader(stream))

    @property
    def labels(self) -> list[str]:
        """The names of the labels that identify cells."""
        return list(self.cells[0].labels)

    @property
    def scale(self) -> float:
        """Divisor that converts a value to a fraction."""
        return 100.0 if self.meta.unit == "percent" else 1.0

    def where(self, wanted: Labels) -> list[PaperCell]:
        """Return the cells that have all the labels in ``wanted``."""
        return [cell for cell in self.cells if all(cell.labels.get(k) == v for k, v in wanted.items())]

    def cell(self, wanted: Labels) -> PaperCell:
        """Return the one cell with these labels; UsageError naming the nearest valid label otherwise."""
        for name, value in wanted.items():
            valid = list(dict.fromkeys(cell.labels[name] for cell in self.cells if name in cell.labels))
            if value not in valid:
                hint = nearest(value, valid) if valid else nearest(name, self.labels)
                raise UsageError(f"{self.name}: no cell has {name} {value!r}; {hint}")
        found = self.where(wanted)
        if len(found) != 1:
            raise UsageError(f"{self.name}: {len(found)} cells have {dict(wanted)}; expected one")
        return found[0]

    def grid(self) -> tuple[list[str], list[tuple[list[str], list[PaperCell | None]]]]:
        """Return the column headings and, for each row, its labels and its cells under those headings."""
        meta, heads = self.meta, list(dict.fromkeys(self.column(cell) for cell in self.cells))
        rows: dict[tuple[str, ...], dict[str, PaperCell]] = {}
        for cell in self.cells:
            rows.setdefault(tuple(cell.labels[name] for name in meta.rows), {})[self.column(cell)] = cell
        return heads, [(list(row), [found.get(head) for head in heads]) for row, found in rows.items()]

    def notes(self) -> list[str]:
        """Return the notes on the table, then on single cells."""
        noted = [cell for cell in self.cells if cell.note]
        if len(noted) <= _MANY_NOTES:
            return [*self.meta.notes, *(f"{self.place(cell)}: {cell.note}." for cell in noted)]
        distinct = list(dict.fromkeys(cell.note for cell in noted))
        shown = distinct[0] if len(distinct) == 1 else "see the individual notes in the formats csv and json"
        return [*self.meta.notes, f"The {len(noted)} cells with a star: {shown}."]

    def place(self, cell: PaperCell) -> str:
        """Return the labels of a cell's row and column."""
        return f"{self.row(cell)}, {self.column(cell)}"

    def row(self, cell: PaperCell) -> str:
        """Return the label of a cell's row."""
        return ", ".join(cell.labels[name] for name in self.meta.rows)

    def column(self, cell: PaperCell) -> str:
        """Return the label of a cell's column."""
        return ", ".join(cell.labels[name] for name in self.meta.column)


def _cell(row: Mapping[str, str]) -> PaperCell:
    def whole(name: str) -> int | None:
        return int(row[name]) if row.get(name) else None

    labels = {name: value for name, value in row.items() if name not in _FACTS}
    return PaperCell(
        labels,
        row["value"],
        whole("wins"),
        whole("draws"),
        whole("losses"),
        whole("n"),
        row["definition"],
        row["source"],
        row["note"],
    )


def paper_names() -> list[str]:
    """Return the names of all published tables."""
    return list(_tables())


def load_table(name: str) -> PaperTable:
    """Load a published table by name; UsageError with the nearest name if unknown."""
    tables = _tables()
    if name not in tables:
        raise UsageError(f"unknown paper table {name!r}: {nearest(name, tables)}")
    return tables[name]


@cache
def _tables() -> dict[str, PaperTable]:
    return {table.name: table for table in _read(packaged_dir("leaderboards") / "papers")}


def _read(folder: Path) -> Iterator[PaperTable]:
    for file in sorted(folder.glob("*/tables.yaml")):
        paper = validated(_PaperFile, read_yaml(file, "a list of published tables"))
        for name, meta in paper.tables.items():
            yield PaperTable(f"{file.parent.name}/{name}", paper.paper, meta, file.parent / f"{name}.csv")


class PaperTrend(NamedTuple):
    """One trend over model size in a published table. ``slope`` is per doubling, in the table's unit."""

    group: str
    blocks: int
    sizes: int
    slope: float
    lower: float
    upper: float
    p_value: float
    sentence: str


def trends(table: PaperTable) -> list[PaperTrend]:
    """Compute Page's test for every group of the table, p values corrected by Holm; empty if sizes do not
    vary.
    """
    from aligner_bench.stats.hypothesis_tests import holm
    from aligner_bench.stats.trend import page, slope_per_doubling

    meta = table.meta.trend
    if meta is None:
        return []
    order = sorted(meta.sizes, key=lambda name: meta.sizes[name])
    sizes = [meta.sizes[name] for name in order]
    groups = _groups(table, meta, order)
    adjusted = holm([page(values)[1] for values in groups.values()])
    span = 2.0 if table.cells[0].definition == "omega" else 1.0
    found = []
    for (group, values), p in zip(groups.items(), adjusted, strict=True):
        slope, _ = slope_per_doubling([[v / table.scale for v in row] for row in values], sizes, span=span)
        unit = table.scale
        ends = (unit * slope.value, unit * slope.lower, unit * slope.upper)
        basis = f"{len(order)} sizes, {len(values)} blocks" + (", Holm" if len(groups) > 1 else "")
        sentence = _sentence(group, [100 / unit * end for end in ends], float(p), basis)
        found.append(PaperTrend(group, len(values), len(order), *ends, float(p), sentence))
    return found


def _groups(table: PaperTable, meta: TrendMeta, order: Sequence[str]) -> dict[str, list[list[float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for cell in table.cells:
        group = ", ".join(cell.labels[name] for name in meta.per) or "all cells"
        block = found.setdefault(group, {}).setdefault(cell.labels[meta.blocks], {})
        block[cell.labels[meta.over]] = cell.value
    return {
        group: [[block[name] for name in order] for block in blocks.values()]
        for group, blocks in found.items()
    }


def _sentence(group: str, points: Sequence[float], p: float, basis: str) -> str:
    shown = f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} ({basis})"
    slope = f"{points[0]:+.1f} points a doubling (95 % {points[1]:+.1f} to {points[2]:+.1f})"
    verdict = "no trend shown" if p >= 0.05 else "grows with size" if points[0] > 0 else "falls with size"
    return f"{group}: {verdict}: {slope}, Page's test {shown}."
