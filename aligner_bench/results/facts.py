"""Hold what results need beside the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aligner_bench.results.length import LengthData


@dataclass(frozen=True, slots=True)
class Facts:
    """The inputs of results beside the rows; stored in the manifest."""

    experiment: str
    experiment_hash: str
    scale: Literal["full", "smoke"]
    suites: Sequence[dict[str, Any]]
    comparisons: Sequence[tuple[str, str]]
    headline: str | None = None
    length_data: LengthData | None = None  # AlpacaEval's own, where an import was given it
    notes: Sequence[str] = ()  # decisions of an import
    ensembles: Mapping[str, Sequence[str]] = field(default_factory=dict)  # ensemble -> its members
    paper: Mapping[str, Any] | None = None  # the published table to repeat: name, judge, cells
    trends: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # name -> system -> size
    level: float = field(default=0.95)
