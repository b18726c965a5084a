"""``aligner-bench doctor``: check what this machine can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aligner_bench.cli.options import AsText, TextOrJson

if TYPE_CHECKING:
    from aligner_bench.doctor import Finding

_SIGNS = {"ok": ("✓", "green"), "missing": ("✗", "yellow"), "off": ("–", "dim"), "fault": ("✗", "red")}


def doctor(
    format: AsText = TextOrJson.text,
    offline: Annotated[bool, typer.Option("--offline", help="Do not contact the hub.")] = False,
) -> None:
    """Report installed packages, missing packages by command, and the command that installs them.

    Exit code 1 if a core package is missing, else 0.
    """
    from aligner_bench.doctor import examine

    found = examine(hub=not offline)
    if format is TextOrJson.json:
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
