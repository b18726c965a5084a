"""Sort rows in the order in which a run's files show them, so that a reordered table gives the same page.

The order has no effect on values; it only determines which of several equal sentences or lines comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from aligner_bench.store.tables import Row

Places = Mapping[Hashable, int]
_ORDERS = {"candidate_first": 0, "baseline_first": 1, "none": 2}


def restored(
    tables: Mapping[str, Sequence[Row]],
    board: Mapping[str, Any],
    prompts: Iterable[tuple[str, str]],
    comparisons: Sequence[tuple[str, str]],
) -> dict[str, list[Row]]:
    """Return the tables sorted as a run writes them.

    ``board`` is the parsed ``leaderboard.json`` and ``prompts`` the (suite, prompt_id) of the page's answers;
    other rows follow in their given order.
    """
    judges = _places(_names(board, "judges", "judge"))
    systems = _places(_names(board, "systems", "system"))
    raters = _places(_names(board, "raters", "rater"))
    inspectors = _places(_names(board, "inspectors", "inspector"))
    questions, pairs = _places(prompts), _places(comparisons)

    def question(row: Row) -> int:
        return questions.get((row["suite"], row["prompt_id"]), len(questions))

    def verdict(row: Row) -> tuple[int, ...]:
        pair = pairs.get((row["candidate"], row["baseline"]), len(pairs))
        return (*judge(row), pair, question(row), _ORDERS.get(row["order"], 3))

    def judge(row: Row) -> tuple[int, ...]:
        return (judges.get(row["judge"], len(judges)),)

    def rater(row: Row) -> int:
        return raters.get(row["rater"], len(raters))

    keys: dict[str, Callable[[Row], Any]] = {
        "prompts": question,
        "responses": lambda row: (systems.get(row["system"], len(systems)), question(row)),
        "verdicts": verdict,
        "audits": lambda row: (*judge(row), row["pair_id"], _ORDERS.get(row["order"], 3)),
        "inspectors": lambda row: (inspectors.get(row["inspector"], len(inspectors)), row["pair_id"]),
        "judges": judge,
        "raters": rater,
        "ratings": lambda row: (rater(row), systems.get(row["system"], len(systems)), question(row)),
    }
    return {
        name: sorted(rows, key=keys[name]) if name in keys else list(rows) for name, rows in tables.items()
    }


def _names(board: Mapping[str, Any], section: str, field: str) -> list[Any]:
    rows = board.get(section)
    return [row.get(field) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _places(names: Iterable[Hashable]) -> Places:
    return {name: i for i, name in enumerate(dict.fromkeys(names))}
