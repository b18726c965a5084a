"""Print a plan on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aligner_bench.engines.costs import dollars

if TYPE_CHECKING:
    from rich.table import Table

    from aligner_bench.runner.plan_report import PlanReport, Taken

_FREE = "–"
_WIDE = 120  # minimum terminal width for the column with each stage's purpose


def show(plan: PlanReport) -> None:
    """Print suites with detectable effects, the schedule (tokens read and written), and the price."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    suites = Table(box=box.SIMPLE_HEAD, title="suites", title_justify="left")
    for head in ("suite", "prompts", "detectable difference from 50 % (80 % power, sd 0.5)"):
        suites.add_column(head)
    for suite in plan.suites:
        suites.add_row(suite.suite, f"{suite.n:,}", f"{100 * suite.detectable:.1f} points")
    console.print(suites, _schedule(plan, console.width))
    of = f" of {plan.paper}" if plan.paper else ""
    console.print(Text(f"cells: {plan.cells:,}{of}; profile: {plan.profile}"))
    if plan.models:
        console.print(_loaded(plan))
    for line in money(plan):
        console.print(Text(line))


def _schedule(plan: PlanReport, width: int) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="schedule", title_justify="left", show_footer=True)
    total = _amounts(plan.total)
    heads = ("", "stage", "model or judge", "items", "calls", "read", "written", "price", "for")
    feet = ("", "at most", "", "", *total, "")
    shown = len(heads) if width >= _WIDE else len(heads) - 1
    for head, foot in list(zip(heads, feet, strict=True))[:shown]:
        right = head in ("items", "calls", "read", "written", "price")
        table.add_column(head, footer=foot, justify="right" if right else "left", no_wrap=True)
    for i, stage in enumerate(plan.stages, 1):
        items = f"{'≤ ' if stage.at_most else ''}{stage.items:,}"
        row = (str(i), stage.stage, stage.name, items, *_amounts(stage.takes), stage.what)
        table.add_row(*row[:shown])
    return table


def _loaded(plan: PlanReport) -> Table:
    """Return the table of models in the order of loading, each loaded once if all fit in memory."""
    from rich import box
    from rich.table import Table

    known = [model.gib for model in plan.models if model.gib is not None]
    table = Table(box=box.SIMPLE_HEAD, title="loaded once", title_justify="left", show_footer=True)
    table.add_column("model or inspector", footer="all together")
    table.add_column("items", justify="right")
    table.add_column("memory, GiB", justify="right", footer=f"{sum(known):.1f}")
    for model in plan.models:
        size = "unknown" if model.gib is None else f"{model.gib:.1f}" if model.gib else _FREE
        table.add_row(" = ".join(model.names), f"{model.items:,}", size)
    return table


def _amounts(taken: Taken) -> tuple[str, str, str, str]:
    if not taken.calls:
        return (_FREE,) * 4
    price = _FREE if taken.usd == 0 else dollars(taken.usd)
    return f"{taken.calls:,}", _short(taken.prompt_tokens), _short(taken.completion_tokens), price


def _short(tokens: int) -> str:
    """Return a token count in short form, such as 1.2M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if tokens >= size:
            return f"{tokens / size:.1f}{unit}"
    return str(tokens)


def money(plan: PlanReport) -> list[str]:
    """Return the price with its rule, and the models without a known price."""
    if not plan.prices and not plan.unpriced:
        return ["No model has a price per token: no cost."]
    lines = [f"price: {dollars(plan.total.usd)} ({plan.rule})"]
    if plan.unpriced:
        lines.append(
            f"no price known: {', '.join(plan.unpriced)}; set prices: in the experiment file (US dollars "
            "per million tokens)"
        )
    for name, known in plan.prices.items():
        price = known.price
        when = f", {known.as_of}" if known.as_of else ""
        lines.append(f"{name}: ${price.input:g} in, ${price.output:g} out per million ({known.source}{when})")
    if plan.max_cost is not None:
        lines.append(f"max_cost: {dollars(plan.max_cost)}; the run stops before the cost exceeds it")
    return lines
