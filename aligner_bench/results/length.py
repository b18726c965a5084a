"""Compute length-controlled win rates: does a win rate come from longer answers?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, TypedDict

from pydantic import Field

from aligner_bench.core.preferences import Preference
from aligner_bench.results.measures import comparisons as m
from aligner_bench.results.number import Number, Published

if TYPE_CHECKING:
    from aligner_bench.stats.length_control import GamedRows


class LengthData(TypedDict):
    """AlpacaEval's published data for length control, as stored in a run's manifest."""

    difficulty: dict[str, float]  # by prompt_id
    gamed: list[list[float]]  # preference in [0, 1], std_delta_len, instruction_difficulty


_FEWEST = 30  # fewest judged prompts for a fit
_REFITS = 500


class LengthControl(Published):
    """A win rate that takes the lengths of the answers into account."""

    label: str = Field(description='the name to print: "LC (minimal)" on any suite but AlpacaEval\'s own')
    form: str
    rate: Annotated[Number, m.LC, Field(description="the interval contains the fit's uncertainty")]
    extreme: bool = Field(description="AlpacaEval's warning: control moved the rate very far")
    matched: Annotated[Number, m.LENGTH_MATCHED]
    quintiles: Annotated[list[dict[str, float | int | None]], m.LENGTH_QUINTILES]


def control_length(
    preferences: Mapping[str, Preference],
    families: Mapping[str, str],
    candidate: Mapping[str, int],
    baseline: Mapping[str, int],
    positions: Mapping[str, int] | None = None,
    published: LengthData | None = None,
) -> LengthControl | None:
    """Compute the LC rate, the rate among pairs of like length, and the rate by quintile of the difference.

    ``candidate`` and ``baseline`` are characters of the answers by prompt_id. ``positions`` are the prompts'
    places in AlpacaEval's own order, by which its code deals them into folds; other suites are dealt by id.
    ``published`` are AlpacaEval's difficulties and gamed rows: with them the form is length_controlled_v1,
    else minimal. None where fewer than 30 prompts have a verdict, or where all verdicts are the same.
    """
    import numpy as np

    from aligner_bench.stats.length_control import lc_win_rate

    keys = sorted(preferences)
    p = [float("nan") if (v := preferences[k].value) is None else v for k in keys]
    judged = [k for k in keys if preferences[k].value is not None]
    if len(judged) < _FEWEST or len({preferences[k].value for k in judged}) == 1:
        return None  # without differing verdicts there is no length effect
    clusters = [families[k] for k in keys]
    old, new = [baseline.get(k, 0) for k in keys], [candidate.get(k, 0) for k in keys]
    known = published if published and published["difficulty"].keys() >= set(keys) else None
    # Refits on nearly separable data overflow in between; the solver skips steps that are not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        found = lc_win_rate(
            p,
            old,
            new,
            "length_controlled_v1" if known else "minimal",
            clusters=clusters,
            difficulty=[known["difficulty"][k] for k in keys] if known else None,
            gamed=_gamed(known) if known else None,
            order=[positions[k] for k in keys] if positions else keys,
            n_boot=_REFITS,
        )
    lengths = [baseline.get(k, 0) for k in judged], [candidate.get(k, 0) for k in judged]
    values, strata = [preferences[k].value or 0.0 for k in judged], [families[k] for k in judged]
    return LengthControl(
        label=found.label,
        form=found.form,
        rate=m.LC(found.estimate),
        extreme=found.extreme,
        matched=m.LENGTH_MATCHED(values, *lengths, strata),
        quintiles=m.LENGTH_QUINTILES(values, *lengths, strata),
    )


def _gamed(published: LengthData) -> GamedRows:
    import numpy as np

    from aligner_bench.stats.length_control import GamedRows

    columns = np.array(published["gamed"], dtype=np.float64).T
    return GamedRows(columns[0], columns[1], columns[2])
