"""`aligner-bench suites`: list, show and validate suites."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aligner_bench.cli.options import DataDir
from aligner_bench.core.textsafe import terminal_safe

if TYPE_CHECKING:
    from rich.table import Table

    from aligner_bench.suites.types import Prompt, Suite
    from aligner_bench.suites.validate import SourceCheck

app = typer.Typer(no_args_is_help=True, help="List, show and validate suites of prompts.")
_HASH_DIGITS = 8
_SAMPLE_CHARACTERS = 300


class Format(StrEnum):
    """Output format."""

    table = "table"
    json = "json"


AsFormat = Annotated[Format, typer.Option("--format", help="Output format.")]


@app.command("list")
def list_suites(data_dir: DataDir = None, format: AsFormat = Format.table) -> None:
    """List the packaged suites: rows, categories, licence, source, hash, mean length. Reads no hub."""
    from aligner_bench.suites.load import NO_SOURCE, suite_names

    rows = [_summary(name, data_dir) for name in suite_names()]
    if format is Format.json:
        _print_json(rows)
        return
    table = _table("suite", "rows", "cat.", "licence", "source", "hash", "length")
    for row in rows:
        table.add_row(*(_cell(row, key) for key in row if key not in _JSON_ONLY))
    _print(table)
    typer.echo("cat.: number of categories; length: mean characters of a prompt's text")
    if any(row["content_hash"] is None for row in rows):
        typer.echo("~ declared, not loaded here: give --data-dir, or load the suite to fetch it from the hub")
    for row in rows:
        if not row["loaded"] and NO_SOURCE not in row["reason"]:
            typer.echo(terminal_safe(row["reason"]), err=True)


_JSON_ONLY = ("loaded", "version", "description", "subsets", "reason")


def _summary(name: str, data_dir: Path | None) -> dict[str, Any]:
    """Return the facts of a suite as loaded, or as declared in its definition if it is not available."""
    from aligner_bench.core.errors import UsageError
    from aligner_bench.suites.load import definition_path, load_suite, read_spec

    spec = read_spec(definition_path(name))
    about = {"version": spec.version, "description": spec.description, "subsets": list(spec.subsets)}
    try:
        suite = load_suite(name, data_dir=data_dir, hub=False)
    except UsageError as error:
        source = spec.sources[-1]
        counts = {"rows": source.expected_rows, "categories": len(spec.category_order()) or None}
        where = {"source": f"{source.kind} {source.dataset or source.path}", "content_hash": None}
        tail = {"mean_characters": None, "loaded": False, "reason": str(error)}
        return {"name": name, **counts, "licence": spec.licence, **where, **tail, **about}
    return {**_facts(suite), "loaded": True, "reason": None, **about}


def _facts(suite: Suite) -> dict[str, Any]:
    return {
        "name": suite.name,
        "rows": len(suite),
        "categories": len(suite.categories),
        "licence": suite.licence,
        "source": suite.source,
        "content_hash": suite.content_hash,
        "mean_characters": round(sum(len(p.text) for p in suite.prompts) / len(suite), 1),
    }


def _cell(row: dict[str, Any], key: str) -> str:
    value = row[key]
    if value is None:
        return "–"
    if key == "content_hash":
        return str(value)[:_HASH_DIGITS]
    if key == "source":  # the kind; `show` and JSON name the file
        return str(value).partition(" ")[0]
    shown = f"{value:,}" if isinstance(value, int | float) else terminal_safe(str(value))
    return f"~{shown}" if key in ("rows", "categories") and not row["loaded"] else shown


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A packaged suite, NAME:SUBSET, or the path of a YAML file.")],
    rows: Annotated[int, typer.Option("--rows", min=0, help="Number of sample rows.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sample.")] = 0,
    subset: Annotated[str | None, typer.Option("--subset", help="A subset of the suite.")] = None,
    data_dir: DataDir = None,
    format: AsFormat = Format.table,
) -> None:
    """Show one suite: its source, its categories, and sample rows balanced over them."""
    from aligner_bench.suites.load import load_suite

    suite = load_suite(name, data_dir=data_dir, subset=subset)
    counts = _category_counts(suite)
    sample = suite.limit(rows, seed).prompts if rows else ()
    if format is Format.json:
        about = {"version": suite.version, "description": suite.description, "subset": suite.subset}
        more = {"approximate": suite.approximate, "note": suite.note, "relevant": list(suite.relevant)}
        body = {"category_rows": counts, "sample": [_as_json(prompt) for prompt in sample]}
        _print_json({**_facts(suite), **about, **more, **body})
        return
    _show_header(suite)
    table = _table("category", "rows", "relevant")
    for category, count in counts.items():
        table.add_row(terminal_safe(category), f"{count:,}", "yes" if category in suite.relevant else "")
    _print(table)
    for prompt in sample:
        _show_prompt(prompt)


def _category_counts(suite: Suite) -> dict[str, int]:
    counts = dict.fromkeys(suite.categories, 0)
    for prompt in suite.prompts:
        counts[prompt.category] += 1
    return counts


def _as_json(prompt: Prompt) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(prompt)


def _show_header(suite: Suite) -> None:
    title = suite.name + (f":{suite.subset}" if suite.subset else "")
    lines = [f"{title} (version {suite.version}): {suite.description}"]
    facts = _facts(suite)
    lines.append(f"{facts['rows']:,} rows, mean length {facts['mean_characters']:,} characters")
    lines.append(f"licence {suite.licence}; source {suite.source}; hash {suite.content_hash}")
    if suite.note:
        lines.append(("approximate: " if suite.approximate else "") + suite.note)
    typer.echo(terminal_safe("\n".join(lines)))


def _show_prompt(prompt: Prompt) -> None:
    about = [prompt.category, prompt.criterion, prompt.family]
    typer.echo(terminal_safe(f"\n[{prompt.prompt_id}] " + " | ".join(part for part in about if part)))
    for turn in prompt.history:
        typer.echo(terminal_safe(f"  {turn.role}: {_shortened(turn.content)}"))
    typer.echo(terminal_safe(f"  {_shortened(prompt.text)}"))
    for reference in prompt.references:
        typer.echo(terminal_safe(f"  = {_shortened(reference)}"))


def _shortened(text: str) -> str:
    return text if len(text) <= _SAMPLE_CHARACTERS else text[:_SAMPLE_CHARACTERS] + "…"


@app.command("validate")
def validate_file(
    file: Annotated[
        Path, typer.Argument(help="A suite definition (YAML) or a data file.", show_default=False)
    ],
    data_dir: DataDir = None,
    format: AsFormat = Format.table,
) -> None:
    """Check a definition and its data, or a data file; errors have file and line. Exit code 2 if any."""
    from aligner_bench.suites.validate import validate

    checks = validate(file, data_dir=data_dir)
    if format is Format.json:
        _print_json([_check_facts(check) for check in checks])
    else:
        for check in checks:
            _show_check(check)
    if not all(check.ok for check in checks):
        raise typer.Exit(2)


def _check_facts(check: SourceCheck) -> dict[str, Any]:
    return {
        "source": check.source,
        "ok": check.ok,
        "checked": not check.skipped,
        "rows": check.rows,
        "categories": dict(sorted(check.categories.items())),
        "content_hash": check.content_hash or None,
        "mean_characters": round(check.mean_characters, 1),
        "errors": check.errors,
        "more_errors": check.more_errors,
        "skipped": check.skipped or None,
    }


def _show_check(check: SourceCheck) -> None:
    for error in check.errors:
        typer.echo(terminal_safe(error), err=True)
    if check.more_errors:
        typer.echo(f"… and {check.more_errors:,} more", err=True)
    if check.skipped:
        typer.echo(terminal_safe(f"not checked: {check.skipped}"))
        return
    found = f"{check.rows:,} rows, {len(check.categories):,} categories, "
    found += f"mean length {check.mean_characters:,.1f} characters, hash {check.content_hash[:_HASH_DIGITS]}"
    typer.echo(terminal_safe(f"{'ok' if check.ok else 'FAULTY'}: {check.source}: {found}"))


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True)
    foldable = ("licence", "category")
    for heading in headings:
        right = heading in ("rows", "cat.", "length")
        table.add_column(
            heading,
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=heading not in foldable,
            min_width=None if heading in foldable else len(heading),
        )
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    Console(markup=False, highlight=False).print(table)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=True))
