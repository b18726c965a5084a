"""``aligner-bench schema``: the JSON Schema of the files that users write."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class What(StrEnum):
    """A sort of file."""

    experiment = "experiment"
    suite = "suite"
    rubric = "rubric"
    gate_policy = "gate-policy"


def schema(
    what: Annotated[What, typer.Argument(metavar="FILE-KIND", help="The sort of file.")] = What.experiment,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="Only the kinds that come with aligner-bench, no plug-ins.")
    ] = False,
) -> None:
    """The JSON Schema (draft 2020-12) of a sort of file, with the kinds of installed plug-ins.

    Plug-ins that cannot be used are left out, and named on stderr.
    """
    import json

    from aligner_bench.core.textsafe import one_line, terminal_safe
    from aligner_bench.experiment.json_schema import file_schema

    made = file_schema(what.value, plugins=not built_in)
    for line in made.left_out:
        typer.echo(f"aligner-bench: left out: {one_line(terminal_safe(line))}", err=True)
    typer.echo(json.dumps(made.schema, indent=1, ensure_ascii=False))
