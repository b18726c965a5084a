"""Is a win rate the work of longer answers? The length-controlled rate and its neighbours, from rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from pydantic import Field

from aligner_bench.core.preferences import Preference
from aligner_bench.results.number import Number, Published

if TYPE_CHECKING:
    from aligner_bench.stats.length_control import GamedRows
    from aligner_bench.stats.length_strata import LengthBin


class LengthData(TypedDict):
    """What AlpacaEval publishes for its length control, as it is kept in a run's manifest."""

    difficulty: dict[str, float]  # by prompt_id
    gamed: list[list[float]]  # preference in [0, 1], std_delta_len, instruction_difficulty


_FEWEST = 30  # judged prompts below which a fit says nothing
_REFITS = 500


def control_length(
    preferences: Mapping[str, Preference],
    families: Mapping[str, str],
    candidate: Mapping[str, int],
    baseline: Mapping[str, int],
    positions: Mapping[str, int] | None = None,
    published: LengthData | None = None,
) -> LengthControl | None:
    """The LC rate, the rate among pairs of like length, and the rate by quintile of the length difference.

    ``candidate`` and ``baseline`` are characters of the answers by prompt_id. ``positions`` are the prompts'
    places in AlpacaEval's own order, by which its code deals them into folds; other suites are dealt by id.
    ``published`` are AlpacaEval's difficulties and gamed rows: with them the form is length_controlled_v1,
    else minimal. None where fewer than 30 prompts have a verdict, or where all verdicts are the same.
    """
    import numpy as np

    from aligner_bench.stats.length_control import lc_win_rate
    from aligner_bench.stats.length_strata import by_length_quantile, length_matched

    keys = sorted(preferences)
    p = [float("nan") if (v := preferences[k].value) is None else v for k in keys]
    judged = [k for k in keys if preferences[k].value is not None]
    if len(judged) < _FEWEST or len({preferences[k].value for k in judged}) == 1:
        return None  # with one and the same verdict everywhere there is no length effect to take out
    clusters = [families[k] for k in keys]
    old, new = [baseline.get(k, 0) for k in keys], [candidate.get(k, 0) for k in keys]
    known = published if published and published["difficulty"].keys() >= set(keys) else None
    # Refits on nearly separable data overflow on the way; a step that is no number is not taken.
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
        rate=Number.of(found.estimate),
        extreme=found.extreme,
        matched=Number.of(length_matched(values, *lengths, strata)),
        quintiles=[_stratum(part) for part in by_length_quantile(values, *lengths, strata)],
    )


def _gamed(published: LengthData) -> GamedRows:
    import numpy as np

    from aligner_bench.stats.length_control import GamedRows

    columns = np.array(published["gamed"], dtype=np.float64).T
    return GamedRows(columns[0], columns[1], columns[2])


def _stratum(part: LengthBin) -> dict[str, float | int | None]:
    rate = Number.of(part.estimate)
    ends = {"from": float(part.lower), "to": float(part.upper)}
    return {**ends, "value": rate.value, "lower": rate.lower, "upper": rate.upper, "n": rate.n}


class LengthControl(Published):
    """What is left of a win rate when the lengths of the answers are taken into account."""

    label: str = Field(description='the name to print: "LC (minimal)" on any suite but AlpacaEval\'s own')
    form: str
    rate: Number = Field(description="length-controlled rate; the interval contains the fit's uncertainty")
    extreme: bool = Field(description="AlpacaEval's warning: control moved the rate very far")
    matched: Number = Field(description="weighted rate among pairs of like length")
    quintiles: list[dict[str, float | int | None]] = Field(
        description="weighted rate by quintile of the length difference (characters, candidate - baseline)"
    )
