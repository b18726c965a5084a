"""``aligner-bench ledger``: look at the store of finished work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Look at the store of finished work.")


@app.callback()
def _root() -> None:
    """Keeps ``ledger stats`` a sub-command."""


@app.command()
def stats(
    ledger: Annotated[Path | None, typer.Option(help="The ledger file (else in the cache folder).")] = None,
) -> None:
    """Items by stage, and how often each was written: more writes than items would be work done twice."""
    from aligner_bench.core.cache import cache_dir
    from aligner_bench.core.errors import UsageError
    from aligner_bench.store.ledger import Ledger

    path = ledger or cache_dir() / "ledger.sqlite"
    if not path.is_file():
        raise UsageError(f"{path}: no ledger there; it is made by the first run")
    with Ledger(path) as book:
        for count in book.stats():
            typer.echo(f"{count.stage:10} {count.items:>9,} items {count.writes:>9,} writes")
