"""Show two compared runs as a table, Markdown, JSON or one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aligner_bench.core.textsafe import one_line

if TYPE_CHECKING:
    from aligner_bench.compare.compare import Difference, RunComparison

_HEADS = (
    "metric",
    "suite",
    "judge",
    "system",
    "baseline",
    "before %",
    "after %",
    "difference",
    "n",
    "p",
    "conclusion",
)
_SHOWN_FLIPS = 15


def cells(row: Difference) -> list[str]:
    """Format one difference as the cells of a table."""
    return [
        row.metric.replace("_", " "),
        row.suite + (f" / {row.category}" if row.category else ""),
        row.judge or "–",
        row.system,
        row.baseline or "–",
        f"{100 * row.before:.1f}",
        f"{100 * row.after:.1f}",
        _interval(row),
        f"{row.difference.n}" + (f" ({row.n_unpaired} unpaired)" if row.n_unpaired else ""),
        f"{row.p_adjusted:.3f}",
        row.conclusion.replace("_", " "),
    ]


def _interval(row: Difference) -> str:
    number = row.difference
    if row.conclusion == "same_answers":
        return "0"
    if number.value is None or number.lower is None or number.upper is None:
        return "–"
    return f"{100 * number.value:+.1f} [{100 * number.lower:+.1f}, {100 * number.upper:+.1f}]"


def flips_in_words(found: RunComparison) -> str:
    """Count the flips in each direction."""
    up = sum(flip.after > flip.before for flip in found.flips)
    return f"{len(found.flips)} flips: {up} up, {len(found.flips) - up} down"


def print_comparison(found: RunComparison) -> None:
    """Print differences in words, by category, flips and what is not compared."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(one_line(f"{found.run_b} against {found.run_a}"), style="bold"))
    for line in (*_differences(found.rows), *_lines(found)):
        console.print(Text(line[: len(line) - len(line.lstrip())] + one_line(line)))


def _differences(rows: Sequence[Difference]) -> list[str]:
    """One sentence per row, decided ones first; rows with unchanged answers are only counted."""
    changed = [row for row in rows if row.conclusion != "same_answers"]
    changed.sort(key=lambda row: row.conclusion not in ("better", "worse"))
    same = len(rows) - len(changed)
    lines = [f"• {row.sentence}" for row in changed]
    return [*lines, f"• {same} numbers are of answers that are the same in both runs"] if same else lines


def _lines(found: RunComparison) -> list[str]:
    hits = [row.sentence for row in found.categories if row.conclusion in ("better", "worse")]
    tried = len(found.categories)
    by_category = f"by category (exploration): {len(hits)} of {tried} differ after Benjamini-Hochberg"
    lines = [by_category, *(f"  {line}" for line in hits)] if tried else []
    lines.append(flips_in_words(found))
    for flip in found.flips[:_SHOWN_FLIPS]:
        against = f" against {flip.baseline} by {flip.judge}" if flip.baseline else ""
        lines.append(
            f"  {flip.suite}/{flip.prompt_id} {flip.metric.replace('_', ' ')} of {flip.system}{against}: "
            f"{flip.before:g} -> {flip.after:g}: {flip.prompt[:60]}"
        )
    if len(found.flips) > _SHOWN_FLIPS:
        lines.append(f"  {len(found.flips) - _SHOWN_FLIPS} more; --format json or html lists all")
    lines += [f"not compared: {line}" for line in found.refused]
    return lines + [f"note: {line}" for line in found.notes]


def as_json(found: RunComparison) -> str:
    """Render the comparison in the shape of ``RunComparison``."""
    return found.model_dump_json(indent=1)


def as_markdown(found: RunComparison) -> str:
    """Render tables of differences, and lists of flips and of what is not compared."""
    lines = [f"## {_md(found.run_b)} against {_md(found.run_a)}", "", *_md_table(found.rows)]
    if found.categories:
        lines += ["", "### By category (exploration, Benjamini-Hochberg)", "", *_md_table(found.categories)]
    lines += ["", f"### {flips_in_words(found)}", ""]
    lines += [
        f"- {_md(flip.suite)}/{_md(flip.prompt_id)}, {flip.metric.replace('_', ' ')} of {_md(flip.system)}: "
        f"{flip.before:g} → {flip.after:g}"
        for flip in found.flips
    ]
    lines += [f"- not compared: {_md(line)}" for line in found.refused]
    return "\n".join([*lines, *(f"- {_md(line)}" for line in found.notes)])


def _md_table(rows: Sequence[Difference]) -> list[str]:
    body = [" | ".join(_md(cell) for cell in cells(row)) for row in rows]
    return [f"| {line} |" for line in (" | ".join(_HEADS), " | ".join(["---"] * len(_HEADS)), *body)]


def _md(text: str) -> str:
    """Escape text for a Markdown table: one line, no cell border, no markup."""
    plain = one_line(text).replace("\\", "\\\\")
    for mark in "|`*[]<>":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def as_html(found: RunComparison) -> str:
    """Render one self-contained page without scripts and requests."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from aligner_bench.views.hostile import shown

    environment = Environment(
        loader=PackageLoader("aligner_bench.views", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: shown(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("comparison.html.j2")
    return template.render(found=found, heads=_HEADS, cells=cells, flips=flips_in_words(found))


FORMATS: dict[str, Callable[[RunComparison], str]] = {"json": as_json, "md": as_markdown, "html": as_html}
