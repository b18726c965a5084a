"""``aligner-bench doctor``: what this machine can run."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aligner_bench.doctor import Finding

_SIGNS = {"ok": ("✓", "green"), "missing": ("✗", "yellow"), "off": ("–", "dim"), "fault": ("✗", "red")}


class Format(StrEnum):
    """How to print what was found."""

    text = "text"
    json = "json"


def doctor(
    format: Annotated[Format, typer.Option("--format", help="text or json")] = Format.text,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the hub.")] = False,
) -> None:
    """What is installed, what is missing for which command, and the line that installs it.

    Exit code 1 where a package of the core is missing, else 0.
    """
    from aligner_bench.doctor import examine

    found = examine(hub=not offline)
    if format is Format.json:
        import json

        data = {"schema_version": 1, "findings": [finding.model_dump() for finding in found]}
        typer.echo(json.dumps(data, indent=1))
    else:
        _print(found)
    broken = any(finding.name == "core" and finding.state == "missing" for finding in found)
    raise typer.Exit(1 if broken else 0)


def _print(found: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    from aligner_bench.core.textsafe import one_line

    console = Console()
    section = ""
    for finding in found:
        if finding.section != section:
            section = finding.section
            console.print(Text(section, style="bold"))
        sign, style = _SIGNS[finding.state]
        console.print(Text(one_line(f"{sign} {finding.name:22} {finding.detail}"), style=style))
        if finding.install:
            console.print(Text(f"{'':24} {finding.install}"))
