"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aligner_bench.core.errors import UsageError


class TextOrJson(StrEnum):
    """Output format: text or JSON."""

    text = "text"
    json = "json"


AsText = Annotated[TextOrJson, typer.Option("--format", help="Output format.")]
ExperimentArg = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="An experiment file, or a packaged name.")
]
RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of local data sets (default: ALIGNER_BENCH_DATA).", show_default=False
    ),
]
LedgerFile = Annotated[
    Path | None, typer.Option("--ledger", help="The ledger file (default: in the cache folder).")
]


def check_margin(margin: float | None) -> None:
    """Raise UsageError for a ``--margin`` in percentage points that is not above 0 and at most 100."""
    if margin is not None and not 0 < margin <= 100:
        raise UsageError(f"--margin {margin:g}: expected points above 0 and at most 100")
