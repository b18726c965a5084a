"""Show costs: paid, without a price, or unknown."""

from __future__ import annotations

from collections.abc import Sequence

from aligner_bench.engines.costs import dollars
from aligner_bench.results.costs import CostRow
from aligner_bench.results.schema import Results
from aligner_bench.views.formats import NONE, count

_FREE = "no price"


def tables(results: Results) -> list[tuple[str, list[CostRow]]]:
    """Collect title and rows of each table: systems by suite, then judges, then raters."""
    found = [
        (suite.name, [r for r in results.costs if r.what == "system" and r.suite == suite.name])
        for suite in results.suites
    ]
    found += [(f"{what}s", [r for r in results.costs if r.what == what]) for what in ("judge", "rater")]
    return [(title, rows) for title, rows in found if rows]


def usd(row: CostRow) -> str:
    """Format a row's cost: an amount, "no price" for own models, or unknown."""
    return _FREE if row.price == "none" else dollars(row.usd)


def repair(row: CostRow) -> str:
    """Format the cost of one repair: tokens, and dollars where there is a price."""
    if row.tokens_per_repair is None:
        return NONE
    tokens = f"{count(round(row.tokens_per_repair))} tokens"
    return tokens if row.price == "none" else f"{dollars(row.usd_per_repair)}, {tokens}"


def price_words(rows: Sequence[CostRow]) -> str:
    """State the prices in one sentence."""
    kinds = {row.price for row in rows}
    if "unknown" in kinds:
        names = dict.fromkeys(row.name for row in rows if row.price == "unknown")
        return (
            f"No price is known for a model behind {', '.join(names)}: "
            "add it under prices: in the experiment file."
        )
    if "paid" in kinds:
        return "US dollars are at the prices in the manifest, all input at the full price."
    return "No model has a price per token."


def lines(results: Results) -> list[list[str]]:
    """Format rows for the terminal and Markdown, in the order of ``HEADS``."""
    return [
        [
            row.what,
            row.name,
            row.suite or "all",
            f"{row.calls:,}",
            f"{row.prompt_tokens:,} + {row.completion_tokens:,}",
            usd(row),
            repair(row).replace("\u202f", ","),
        ]
        for row in results.costs
    ]


HEADS = ("", "", "suite", "calls", "tokens in + out", "US dollars", "one repair")


def is_priced(results: Results) -> bool:
    """Whether any row has a price."""
    return any(row.price != "none" for row in results.costs)
