"""Ratings of many systems from pairwise verdicts: Bradley-Terry strengths, ranks with intervals, cycles."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import evalica
import numpy as np
import numpy.typing as npt

from aligner_bench.stats.bootstrap import resample_counts
from aligner_bench.stats.clusters import (
    FloatArray,
    IntArray,
    Labels,
    Values,
    as_preferences,
    cluster_codes,
    encode,
)
from aligner_bench.stats.estimate import Estimate, empty
from aligner_bench.stats.intervals import mean_t

ANCHOR_ELO = 1500.0
ELO_SCALE = 400.0
"""Elo points for odds of ten to one."""
PRIOR_TIES = 0.5
"""Ties added to every compared pair of systems, so that a system without a loss has a finite strength."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One system's rating. `rank` counts from 1, with whole ranks as ends; `elo` is 1500 for the anchor."""

    system: str
    rank: Estimate
    elo: Estimate


def bradley_terry(
    first: Sequence[str],
    second: Sequence[str],
    p: Values,
    prompts: Sequence[Hashable],
    anchor: str | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    prior_ties: float = PRIOR_TIES,
) -> list[Rating]:
    """Return the ratings of all systems, best first, from verdicts on pairs.

    Row i: on prompt `prompts[i]` (or family), `first[i]` against `second[i]` with preference `p[i]` for the
    first; only win, tie and loss count, a tie as half a win for each. Strengths by evalica (Newman 2023,
    JMLR 24:238, iteration for the model of Bradley and Terry 1952). Elo = 1500 + 400
    log10(strength/anchor's); the anchor is the alphabetically first system unless named, and has no interval.
    Intervals are percentiles over resampled prompts, not single rows, since the pairs of one prompt are not
    independent. ValueError for an unknown anchor or systems not connected by a chain of comparisons.
    """
    names = sorted({*first, *second})
    if not names:
        return []
    anchor = names[0] if anchor is None else anchor
    if anchor not in names:
        raise ValueError(f"unknown anchor {anchor!r}, expected one of {', '.join(names)}")
    cells, rows = _cells(first, second, as_preferences(p), names)
    codes, groups = cluster_codes(list(prompts), len(rows))
    _check_connected(cells, names)
    by_prompt = np.zeros((groups, len(cells)))
    np.add.at(by_prompt, (codes, rows), 1.0)
    elo = _elo(cells, by_prompt.sum(axis=0), names, anchor, prior_ties)
    draws = resample_counts(groups, n_boot, seed) @ by_prompt
    boot = np.array([_elo(cells, draw, names, anchor, prior_ties) for draw in draws])
    return _ratings(names, elo, boot, groups, level)


Cell = tuple[int, int, evalica.Winner]


def _cells(
    first: Sequence[str], second: Sequence[str], p: FloatArray, names: list[str]
) -> tuple[list[Cell], IntArray]:
    """Return distinct (system, system, outcome) cells of all compared pairs, and the cell of every row."""
    code = {name: k for k, name in enumerate(names)}
    met = sorted({tuple(sorted((code[a], code[b]))) for a, b in zip(first, second, strict=True)})
    outcomes = (evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw)
    cells = [(a, b, outcome) for a, b in met for outcome in outcomes]
    place = {cell: k for k, cell in enumerate(cells)}
    rows = []
    for a, b, preference in zip(first, second, p, strict=True):
        low, high = sorted((code[a], code[b]))
        mine = preference if code[a] == low else 1 - preference
        rows.append(place[low, high, outcomes[2 if mine == 0.5 else int(mine < 0.5)]])
    return cells, np.asarray(rows, dtype=np.int64)


def _check_connected(cells: list[Cell], names: list[str]) -> None:
    """Raise ValueError unless a chain of comparisons connects all systems."""
    reached = {0}
    for _ in names:
        reached |= {x for a, b, _ in cells for x in (a, b) if a in reached or b in reached}
    if len(reached) < len(names):
        left = ", ".join(name for k, name in enumerate(names) if k not in reached)
        raise ValueError(f"no comparison links {names[0]} with {left}")


def _elo(
    cells: list[Cell], weights: FloatArray, names: list[str], anchor: str, prior_ties: float
) -> FloatArray:
    """Return the Elo of every system in the order of `names`."""
    prior = np.array([prior_ties if outcome == evalica.Winner.Draw else 0.0 for _, _, outcome in cells])
    result = evalica.bradley_terry(
        [a for a, _, _ in cells],
        [b for _, b, _ in cells],
        [outcome for _, _, outcome in cells],
        weights=(weights + prior).tolist(),
        tolerance=1e-9,
        limit=10_000,
    )
    strength = result.scores.reindex(range(len(names))).to_numpy()
    return np.asarray(ANCHOR_ELO + ELO_SCALE * np.log10(strength / strength[names.index(anchor)]))


def _ranks(elo: FloatArray) -> npt.NDArray[np.int64]:
    """Return the rank of every system, 1 + the number of clearly better ones, over the last axis."""
    return np.asarray((elo[..., None, :] > elo[..., :, None] + 1e-6).sum(axis=-1) + 1)


def _ratings(names: list[str], elo: FloatArray, boot: FloatArray, groups: int, level: float) -> list[Rating]:
    tail = (1 - level) / 2
    low, high = np.quantile(boot, [tail, 1 - tail], axis=0)
    ranks, boot_ranks = _ranks(elo), _ranks(boot)
    best = np.quantile(boot_ranks, tail, axis=0, method="lower")
    worst = np.quantile(boot_ranks, 1 - tail, axis=0, method="higher")
    how = "prompt bootstrap"
    ratings = [
        Rating(
            name,
            Estimate(float(ranks[k]), float(best[k]), float(worst[k]), groups, how, level),
            Estimate(float(elo[k]), float(low[k]), float(high[k]), groups, how, level),
        )
        for k, name in enumerate(names)
    ]
    return sorted(ratings, key=lambda rating: (-rating.elo.value, rating.system))


def win_matrix(
    first: Sequence[str], second: Sequence[str], p: Values
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return the sorted system names and the matrix of mean results, shape (S, S).

    Entry (i, j) is i's share of wins plus half of ties against j, NaN if they were not compared.
    """
    values = as_preferences(p)
    names = sorted({*first, *second})
    code = {name: k for k, name in enumerate(names)}
    a, b = (
        np.array([code[x] for x in first], dtype=np.int64),
        np.array([code[x] for x in second], dtype=np.int64),
    )
    credit, total = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    result = (np.sign(values - 0.5) + 1) / 2
    np.add.at(credit, (a, b), result)
    np.add.at(credit, (b, a), 1 - result)
    np.add.at(total, (a, b), 1)
    np.add.at(total, (b, a), 1)
    with np.errstate(invalid="ignore"):
        return names, np.where(total > 0, credit / total, np.nan)


def cyclic_triads(
    first: Sequence[str],
    second: Sequence[str],
    p: Values,
    prompts: Sequence[Hashable],
    clusters: Labels = None,
    level: float = 0.95,
) -> Estimate:
    """Return the share of decided triads (prompt, three systems) in which A beats B, B beats C and C beats A.

    Rows as in `bradley_terry`; several rows of one pair on one prompt are averaged first. A judge that
    decides at random makes 25 % of triads cyclic (Kendall and Babington Smith 1940). The interval is
    clustered by prompt, or by `clusters` (one label per row). NaN without decided triads; n counts triads.
    """
    values = as_preferences(p)
    labels = list(prompts) if clusters is None else cluster_codes(clusters, values.size)[0].tolist()
    sums: dict[Hashable, dict[tuple[str, str], float]] = {}
    family: dict[Hashable, object] = {}
    for a, b, preference, prompt, label in zip(first, second, values, prompts, labels, strict=True):
        pair, sign = ((a, b), 1.0) if a < b else ((b, a), -1.0)
        won = sums.setdefault(prompt, {})
        won[pair] = won.get(pair, 0.0) + sign * float(preference - 0.5)
        family[prompt] = label
    cyclic = [(outcome, family[q]) for q, won in sums.items() for outcome in _triads(won)]
    if not cyclic:
        return empty("cluster t", level)
    codes = encode([label for _, label in cyclic])
    return mean_t([float(outcome) for outcome, _ in cyclic], codes, level)


def _triads(won: dict[tuple[str, str], float]) -> list[bool]:
    """Return whether each triad of one prompt is cyclic; triads with a tie or a missing pair are omitted."""
    systems = sorted({name for pair in won for name in pair})
    out = []
    for a, b, c in itertools.combinations(systems, 3):
        ab, bc, ac = won.get((a, b), 0.0), won.get((b, c), 0.0), won.get((a, c), 0.0)
        if ab and bc and ac:
            out.append((ab > 0) == (bc > 0) != (ac > 0))
    return out
