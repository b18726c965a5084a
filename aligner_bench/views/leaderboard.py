"""Show the leaderboard as table, Markdown, CSV, JSON or LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aligner_bench.core.textsafe import terminal_safe
from aligner_bench.results.comparisons import Comparison
from aligner_bench.results.measures.comparisons import OMEGA, STRICT, WEIGHTED
from aligner_bench.results.number import Number
from aligner_bench.results.schema import Results
from aligner_bench.views import costs

if TYPE_CHECKING:
    from rich.console import JustifyMethod

_SHOWN = (WEIGHTED, STRICT, OMEGA)
_FLAT = (
    *("system", "baseline", "judge", "suite", "win_rate", "standard_error", "discrete_win_rate"),
    *("n_wins", "n_wins_base", "n_draws", "n_failed", "n_inconsistent", "n_identical"),
    *("avg_length", "avg_length_base", "orders", "p_value", "mde", "n_to_decide", "has_power", "conclusion"),
)
_HEADS = (
    "suite",
    "judge",
    "system",
    "baseline",
    *(f"{m.heading} %" if m.format == "percent" else m.heading for m in _SHOWN),
    "W/T/L",
    "n",
    "conclusion",
)
_SHORT = 14  # characters of a name
_JUSTIFY: tuple[JustifyMethod, ...] = ("left", "left", *("right",) * 5, "left")


def flat_rows(results: Results) -> list[dict[str, Any]]:
    """Flatten each comparison: AlpacaEval's names, every rate in percent with its interval.

    ``n_total`` is AlpacaEval's: pairs with a verdict. ``n_prompts`` counts the failed and missing ones too.
    """
    return [_flat(row) | _flat_costs(row, results) for row in results.rows]


def _flat_costs(row: Comparison, results: Results) -> dict[str, Any]:
    """US dollars of both systems' answers on the suite, of the judge over the whole run, and of a repair."""
    found = {(cost.what, cost.name, cost.suite): cost for cost in results.costs}
    system, base, judge = (
        found.get(key)
        for key in (
            ("system", row.system, row.suite),
            ("system", row.baseline, row.suite),
            ("judge", row.judge, ""),
        )
    )
    return {
        "cost": system.usd if system else None,
        "cost_base": base.usd if base else None,
        "cost_judge": judge.usd if judge else None,
        "cost_per_repair": system.usd_per_repair if system else None,
        "tokens_per_repair": system.tokens_per_repair if system else None,
    }


def _flat(row: Comparison) -> dict[str, Any]:
    flat = {name: getattr(row, name) for name in _FLAT}
    flat |= {"n_total": row.n, "n_prompts": row.n_total}
    for name, rate in row.rates.items():
        for end in ("value", "lower", "upper"):
            number = getattr(rate, end)
            flat[name if end == "value" else f"{name}_{end}"] = None if number is None else 100 * number
    return flat | _flat_length(row)


def _flat_length(row: Comparison) -> dict[str, Any]:
    """The length-controlled rate in percent under AlpacaEval's name, and its form."""
    rate = row.length.rate if row.length else None
    ends = (rate.value, rate.lower, rate.upper) if rate else (None, None, None)
    value, lower, upper = (None if end is None else 100 * end for end in ends)
    return {
        "length_controlled_winrate": value,
        "length_controlled_lower": lower,
        "length_controlled_upper": upper,
        "length_control": row.length.label if row.length else None,
    }


def cells(results: Results) -> list[list[str]]:
    """Format the short table: one list of cells per row."""
    return [
        [
            row.suite,
            row.judge,
            row.system,
            row.baseline,
            *(interval(row.rates[m.name], signed=m.format == "signed percent") for m in _SHOWN),
            f"{row.n_wins}/{row.n_draws}/{row.n_wins_base}",
            f"{row.n}" + (f" ({row.n_failed} failed)" if row.n_failed else ""),
            row.conclusion.replace("_", " "),
        ]
        for row in results.rows
    ]


def interval(number: Number, signed: bool = False) -> str:
    """Format percent with its interval: ``52.1 [40.3, 63.8]``; a dash where it cannot be computed."""
    if number.value is None:
        return "–"
    sign = "+" if signed else ""
    low, high = ("…" if end is None else f"{100 * end:{sign}.1f}" for end in (number.lower, number.upper))
    return f"{100 * number.value:{sign}.1f} [{low}, {high}]"


def trends(results: Results) -> list[str]:
    """Collect the sentences about trends over size, by judges with power."""
    able = {judge.judge for judge in results.judges if judge.has_power}
    return [trend.sentence for trend in results.trends if trend.judge in able]


def as_json(results: Results) -> str:
    """Render the flat rows as a JSON list."""
    return json.dumps(flat_rows(results), indent=1)


def as_csv(results: Results) -> str:
    """Render the flat rows as CSV with a header."""
    rows = flat_rows(results)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else list(_FLAT), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().rstrip("\n")


def as_markdown(results: Results) -> str:
    """Render the short table in Markdown, followed by the conclusions in words."""
    lines = [markdown_line(_HEADS), markdown_line(["---"] * len(_HEADS))]
    lines += [markdown_line(row) for row in cells(results)]
    if costs.is_priced(results):
        lines += ["", markdown_line(costs.HEADS), markdown_line(["---"] * len(costs.HEADS))]
        lines += [markdown_line(row) for row in costs.lines(results)]
    return "\n".join(
        [*lines, "", *(f"- {line}" for line in [*results.headline, *trends(results), *results.warnings])]
    )


def markdown_line(row: Sequence[str]) -> str:
    """Render one row of a Markdown table."""
    return (
        "| " + " | ".join(terminal_safe(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    )


_LATEX = str.maketrans(
    {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "–": "--"}
)


def as_latex(results: Results) -> str:
    """Render the short table as a LaTeX tabular (booktabs)."""
    lines = [r"\begin{tabular}{llllrrrrrl}", r"\toprule", latex_line(_HEADS), r"\midrule"]
    lines += [latex_line(row) for row in cells(results)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def latex_line(row: Sequence[str]) -> str:
    """Render one row of a LaTeX tabular."""
    return " & ".join(cell.translate(_LATEX) for cell in row) + r" \\"


def print_table(results: Results) -> None:
    """Print a table for each suite and judge, the headline and the warnings."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    tables: dict[tuple[str, str], Table] = {}
    # On a narrow terminal intervals break over lines, names only where they are long.
    short = all(max(len(row.system), len(row.baseline)) <= _SHORT for row in results.rows)
    for row, line in zip(results.rows, cells(results), strict=True):
        if (row.suite, row.judge) not in tables:
            power = "" if row.has_power else ", power not shown"
            title = Text(terminal_safe(f"{row.suite}, judge {row.judge}{power} (95 % intervals)"))
            table = Table(
                box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
            )
            for head, justify in zip(_HEADS[2:], _JUSTIFY, strict=True):
                whole = short and head in ("system", "baseline", "W/T/L", "n", "conclusion")
                table.add_column(head, justify=justify, overflow="fold", no_wrap=whole)
            tables[row.suite, row.judge] = table
        style = "" if row.has_power else "dim"
        tables[row.suite, row.judge].add_row(*(Text(terminal_safe(c)) for c in line[2:]), style=style)
    for table in tables.values():
        console.print(table)
    if costs.is_priced(results):
        console.print(_cost_table(results))
    for sentence in [*results.headline, *trends(results)]:
        console.print(Text(f"• {terminal_safe(sentence)}"))
    for sentence in results.warnings:
        console.print(Text(f"! {terminal_safe(sentence)}", style="yellow"))


def _cost_table(results: Results) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title="cost", title_justify="left", pad_edge=False)
    for head in costs.HEADS:
        table.add_column(head, justify="left" if head in ("", "suite") else "right", overflow="fold")
    for line in costs.lines(results):
        table.add_row(*(Text(terminal_safe(cell)) for cell in line))
    return table


FORMATS: dict[str, Callable[[Results], str]] = {
    "json": as_json,
    "csv": as_csv,
    "md": as_markdown,
    "latex": as_latex,
}
