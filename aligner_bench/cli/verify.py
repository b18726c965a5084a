"""``aligner-bench verify``: recompute every published number from the rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aligner_bench.cli.options import AsText, RunArg, TextOrJson

if TYPE_CHECKING:
    from aligner_bench.verify.verify import Verification

_MOST = 40


def verify(
    run: RunArg,
    report: Annotated[
        Path | None, typer.Option(help="The report to check (default: RUN/report.html).")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="A gate's baseline made from RUN.")] = None,
    claims: Annotated[bool, typer.Option("--claims", help="List every number with its query.")] = False,
    format: AsText = TextOrJson.text,
) -> None:
    """Recompute every published number from the rows, and check every file against its seal.

    Exit code 0: no difference; 1: differences (listed); 2: RUN is not a run. A consistent rewrite of rows,
    digests, leaderboard and report is not detected: compare the printed digest with an independent copy.
    """
    from aligner_bench.verify.verify import verify as check

    found = check(run, report=report, baseline=baseline)
    if format is TextOrJson.json:
        typer.echo(_as_json(found, claims))
    else:
        _print(found, claims)
    raise typer.Exit(0 if found.ok else 1)


def _as_json(found: Verification, claims: bool) -> str:
    import json

    shown = [claim._asdict() for claim in found.claims] if claims else None
    data = {
        "schema_version": 1,
        "run": found.run,
        "ok": found.ok,
        "manifest_digest": found.digest,
        "differences": found.differences,
        "notes": found.notes,
        "checked": found.checked,
    }
    return json.dumps(data if shown is None else {**data, "claims": shown}, indent=1)


def _print(found: Verification, claims: bool) -> None:
    from aligner_bench.core.textsafe import one_line

    if claims:
        for claim in found.claims:
            typer.echo(one_line(f"{claim.path} = {claim.value!r}  <- {claim.query}"))
    for line in found.differences[:_MOST]:
        typer.echo(one_line(f"differs: {line}"))
    if len(found.differences) > _MOST:
        typer.echo(f"differs: {len(found.differences) - _MOST} more; --format json lists all")
    for line in found.notes:
        typer.echo(one_line(f"note: {line}"))
    counts = ", ".join(f"{n:,} values of {name}" for name, n in found.checked.items())
    result = "all agree with the rows" if found.ok else f"{len(found.differences)} differences"
    typer.echo(one_line(f"{found.run}: {result}{f' ({counts} compared)' if counts else ''}"))
    if found.digest:
        typer.echo(f"manifest digest {found.digest}")
