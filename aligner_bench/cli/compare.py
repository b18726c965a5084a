"""``aligner-bench compare``: two runs, prompt by prompt."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How to print the comparison."""

    table = "table"
    md = "md"
    json = "json"
    html = "html"


class Family(StrEnum):
    """Which p values Holm's correction takes together."""

    all = "all"
    suite = "suite"
    judge = "judge"
    metric = "metric"
    each = "each"


RunArg = Annotated[Path, typer.Argument(metavar="RUN_A", help="The run before.")]


def compare(
    run_a: RunArg,
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run after.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="win_rate and accuracy unless named; may be repeated.")
    ] = None,
    family: Annotated[
        Family, typer.Option(help="p values that Holm's correction takes together.")
    ] = Family.all,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="A=B", help="System A of RUN_A is system B of RUN_B.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file for md, json or html.")] = None,
) -> None:
    """Paired differences between two runs, corrected for many comparisons, and the answers that flipped.

    Suites with other prompts and judges of another identity are not compared, and the output says so.
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
