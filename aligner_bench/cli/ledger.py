"""``aligner-bench ledger``: inspect the store of finished work."""

from __future__ import annotations

import typer

from aligner_bench.cli.options import LedgerFile

app = typer.Typer(no_args_is_help=True, help="Inspect the store of finished work.")


@app.callback()
def _root() -> None:
    """Keep ``ledger stats`` a sub-command."""


@app.command()
def stats(
    ledger: LedgerFile = None,
) -> None:
    """Show items and writes by stage; more writes than items means repeated work."""
    from aligner_bench.core.cache import cache_dir
    from aligner_bench.core.errors import UsageError
    from aligner_bench.store.ledger import Ledger

    path = ledger or cache_dir() / "ledger.sqlite"
    if not path.is_file():
        raise UsageError(f"{path}: no such ledger; the first run creates it")
    with Ledger(path) as book:
        for count in book.stats():
            typer.echo(f"{count.stage:10} {count.items:>9,} items {count.writes:>9,} writes")
