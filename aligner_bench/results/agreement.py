"""Compute the agreement of an ensemble's members from their own verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from aligner_bench.core.preferences import combine, side
from aligner_bench.results.measures import judges as m
from aligner_bench.results.number import Number, Published
from aligner_bench.store.tables import Row, group


class Panel(Published):
    """Agreement of an ensemble's members on the run's pairs."""

    members: list[str]
    alpha: Annotated[
        Number,
        m.PANEL_ALPHA,
        Field(
            description="by prompt family; 1: all agree, 0: as by chance; n: pairs that two or more judged"
        ),
    ]
    n_split: Annotated[int, m.PANEL_SPLIT]

    @property
    def sentence(self) -> str:
        """State the agreement in words."""
        number, split = self.alpha, f"they split on {self.n_split} of {self.alpha.n} pairs"
        if number.value is None:
            return f"alpha of its members cannot be computed (all their verdicts are the same); {split}"
        ends = f"{number.lower:.2f} to {number.upper:.2f}"
        return f"its members agree to alpha {number.value:.2f} (95 % {ends}); {split}"


def panel(members: Sequence[str], tables: Mapping[str, Sequence[Row]]) -> Panel | None:
    """Compute the agreement of an ensemble's members on the run's pairs; None for other judges.

    Pairs of equal texts are left out: no judge was called.
    """
    if not members:
        return None
    views = _views(members, tables["verdicts"])
    families = {
        (row["suite"], row["prompt_id"]): row["family"] or row["prompt_id"] for row in tables["prompts"]
    }
    columns = [[view.get(member) for member in members] for view in views.values()]
    ratings = [[column[i] for column in columns] for i in range(len(members))]
    clusters = [f"{suite}\x00{families[suite, prompt]}" for suite, prompt, *_ in views]
    return Panel(
        members=list(members),
        alpha=m.PANEL_ALPHA(ratings, clusters),
        n_split=sum({-1, 1} <= set(view.values()) for view in views.values()),
    )


def _views(members: Sequence[str], verdicts: Sequence[Row]) -> dict[tuple[str, ...], dict[str, int]]:
    """(suite, prompt, candidate, baseline) -> member -> 1 for a win, 0 for a tie, -1 for a loss."""
    views: dict[tuple[str, ...], dict[str, int]] = {}
    own = (row for row in verdicts if row["judge"] in members)
    for (judge, *place), rows in group(own, "judge", "suite", "prompt_id", "candidate", "baseline").items():
        found = combine(rows)
        if found.value is not None and not found.identical:
            views.setdefault(tuple(place), {})[judge] = side(found.value)
    return views
