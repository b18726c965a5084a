"""``aligner-bench schema``: the JSON Schema of the files that users write."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aligner_bench.experiment.json_schema import FileSchema


class What(StrEnum):
    """A sort of file."""

    experiment = "experiment"
    suite = "suite"
    rubric = "rubric"
    gate_policy = "gate-policy"


_CLASSES = {
    What.experiment: "aligner_bench.experiment.file:ExperimentFile",
    What.suite: "aligner_bench.suites.spec:SuiteSpec",
    What.rubric: "aligner_bench.judges.rubric:Rubric",
    What.gate_policy: "aligner_bench.gate.policy:Policy",
}


def schema(
    what: Annotated[What, typer.Argument(help="The sort of file.")] = What.experiment,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="Only the kinds that come with aligner-bench, no plug-ins.")
    ] = False,
) -> None:
    """The JSON Schema (draft 2020-12) of a sort of file, with the kinds of installed plug-ins.

    Plug-ins that cannot be used are left out, and named on stderr.
    """
    import json

    from aligner_bench.core.textsafe import one_line, terminal_safe

    made = schema_of(what, plugins=not built_in)
    for line in made.left_out:
        typer.echo(f"aligner-bench: left out: {one_line(terminal_safe(line))}", err=True)
    typer.echo(json.dumps(made.schema, indent=1, ensure_ascii=False))


def schema_of(what: What, *, plugins: bool = True) -> FileSchema:
    """The schema of a sort of file, and a line for each plug-in that is left out."""
    from aligner_bench.experiment.json_schema import file_schema

    module, _, name = _CLASSES[what].partition(":")
    return file_schema(getattr(import_module(module), name), f"aligner-bench: {what} file", plugins=plugins)
