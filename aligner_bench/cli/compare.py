"""``aligner-bench compare``: compare two runs, paired by prompt."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """Output format."""

    table = "table"
    md = "md"
    json = "json"
    html = "html"


class Family(StrEnum):
    """The family of p values for Holm's correction."""

    all = "all"
    suite = "suite"
    judge = "judge"
    metric = "metric"
    each = "each"


RunArg = Annotated[Path, typer.Argument(metavar="RUN_A", help="The first run.")]


def compare(
    run_a: RunArg,
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The second run.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="A metric (default: win_rate and accuracy). Repeatable.")
    ] = None,
    family: Annotated[Family, typer.Option(help="Family of p values for Holm's correction.")] = Family.all,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="A=B", help="System A of RUN_A is system B of RUN_B.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output file for md, json or html.")] = None,
) -> None:
    """Compare two runs: paired differences, corrected for multiple comparisons, and changed answers.

    Suites with different prompts and judges with different identities are listed but not compared.
    """
    from aligner_bench.compare.compare import PRIMARY
    from aligner_bench.compare.compare import compare as paired
    from aligner_bench.compare.show import FORMATS, print_comparison
    from aligner_bench.core.errors import UsageError
    from aligner_bench.core.files import write_text
    from aligner_bench.runs import Run

    if out is not None and (format is Format.table or not out.parent.is_dir()):
        raise UsageError(f"{out}: --out needs --format md, json or html, and a folder that exists")
    found = paired(
        Run(run_a), Run(run_b), metrics=metric or PRIMARY, family=family.value, renamed=_renamed(rename or [])
    )
    if format is Format.table:
        print_comparison(found)
    elif out is None:
        typer.echo(FORMATS[format](found))
    else:
        write_text(out, FORMATS[format](found) + "\n")
        typer.echo(str(out))


def _renamed(pairs: list[str]) -> dict[str, str]:
    from aligner_bench.core.errors import UsageError

    found = {}
    for pair in pairs:
        old, sign, new = pair.partition("=")
        if not (old and sign and new):
            raise UsageError(f"--rename {pair}: expected OLD=NEW, the system's names in RUN_A and RUN_B")
        found[old] = new
    return found
