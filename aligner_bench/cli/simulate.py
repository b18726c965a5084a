"""``aligner-bench simulate``: simulate correctors without language models."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aligner_bench.simulate.squad import Outcome

app = typer.Typer(no_args_is_help=True, help="Simulate correctors without language models.")


class Format(StrEnum):
    """Output format."""

    table = "table"
    json = "json"


@app.callback()
def _group() -> None:
    """Keep ``squad`` a sub-command."""


@app.command()
def squad(
    regime: Annotated[
        list[str] | None, typer.Option(help="independent, in_sync or conflict (default: all). Repeatable.")
    ] = None,
    styles: Annotated[int, typer.Option(help="Number of styles, each with an aligner and an inspector.")] = 2,
    threshold: Annotated[float, typer.Option(help="Score that every style must reach.")] = 0.9,
    limit: Annotated[
        int | None, typer.Option(help="Maximum steps (default: 5, or STYLES + 1 if larger).")
    ] = None,
    points: Annotated[int, typer.Option(help="Number of new points to correct.")] = 100,
    size: Annotated[float, typer.Option(help="Shift of each of a style's 10 coordinates.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for one SVG per regime.")] = None,
    format: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
) -> None:
    """Simulate the synthetic squad of Ngweta et al. 2024 (3.2): points that pass all inspectors, by steps.

    At each step the aligner with the lowest score acts, until all scores reach the threshold.
    """
    from aligner_bench.simulate.squad import REGIMES, Setting, simulate

    setting = Setting(styles, threshold, max(5, styles + 1) if limit is None else limit, points, size, seed)
    found = [simulate(name, setting) for name in dict.fromkeys(regime or REGIMES)]
    if out is not None:
        _draw(found, out)
    if format is Format.json:
        import json

        typer.echo(json.dumps({one.regime: one.summary() for one in found}, indent=1))
    else:
        _print(found, out)


def _draw(found: list[Outcome], out: Path) -> None:
    from aligner_bench.core.errors import UsageError
    from aligner_bench.core.files import write_text
    from aligner_bench.simulate.plot import plot

    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; expected a folder for the plots")
    out.mkdir(parents=True, exist_ok=True)
    for one in found:
        write_text(out / f"squad-{one.regime}.svg", plot(one))


def _print(found: list[Outcome], out: Path | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    setting = found[0].setting
    title = f"{setting.styles} styles, {setting.points} points, threshold {setting.threshold:g}"
    table = Table(box=box.SIMPLE_HEAD, title=f"{title}, at most {setting.limit} steps", title_justify="left")
    summaries = [one.summary() for one in found]
    keys = sorted({key for summary in summaries for key in summary["steps"]}, key=int)
    table.add_column("regime")
    for head in ("reach all", *(f"{key} step{'' if key == '1' else 's'}" for key in keys)):
        table.add_column(head, justify="right")
    for one, summary in zip(found, summaries, strict=True):
        shares = [summary["reached"], *(summary["steps"].get(key, 0.0) for key in keys)]
        table.add_row(one.regime, *(f"{100 * share:.0f} %" for share in shares))
    Console().print(table)
    if out is not None:
        typer.echo(f"plots: {', '.join(str(out / f'squad-{one.regime}.svg') for one in found)}")
