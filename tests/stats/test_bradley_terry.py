"""Ratings: maximum likelihood, invariances, intervals over prompts, and cycles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

from aligner_bench.stats.bradley_terry import bradley_terry, cyclic_triads, win_matrix

STRENGTH = {"weak": 1.0, "fair": 2.0, "good": 4.0, "best": 8.0}


def round_robin(
    seed: int, prompts: int, ties: float = 0.2
) -> tuple[list[str], list[str], list[float], list[int]]:
    rng = np.random.default_rng(seed)
    first, second, p, ids = [], [], [], []
    for prompt, (a, b) in itertools.product(range(prompts), itertools.combinations(STRENGTH, 2)):
        won = rng.random() < STRENGTH[a] / (STRENGTH[a] + STRENGTH[b])
        first.append(a)
        second.append(b)
        p.append(0.5 if rng.random() < ties else float(won))
        ids.append(prompt)
    return first, second, p, ids


def test_elo_is_the_maximum_of_the_likelihood():
    """Ties as half wins, no prior: a general optimiser must find the same point."""
    first, second, p, ids = round_robin(0, 80)
    names = sorted(STRENGTH)
    a, b = np.array([names.index(x) for x in first]), np.array([names.index(x) for x in second])
    y = np.array(p)

    def loss(theta: np.ndarray) -> float:
        z = theta[a] - theta[b]
        return float((np.logaddexp(0, z) - y * z).sum() + 1e-9 * theta @ theta)

    theta = minimize(loss, np.zeros(4), tol=1e-12).x
    expected = 1500 + 400 / math.log(10) * (theta - theta[names.index("fair")])
    ratings = bradley_terry(first, second, p, ids, anchor="fair", n_boot=20, prior_ties=0)
    for rating in ratings:
        assert rating.elo.value == pytest.approx(expected[names.index(rating.system)], abs=0.1)


def test_ratings_rank_systems_and_anchor_has_1500():
    ratings = bradley_terry(*round_robin(1, 120), anchor="weak", n_boot=300)
    assert [r.system for r in ratings] == ["best", "good", "fair", "weak"]
    assert [r.rank.value for r in ratings] == [1, 2, 3, 4]
    anchor = ratings[-1].elo
    assert (anchor.value, anchor.lower, anchor.upper) == (1500.0, 1500.0, 1500.0)
    for rating in ratings[:-1]:
        assert rating.elo.lower < rating.elo.value < rating.elo.upper
        truth = 1500 + 400 * math.log10(STRENGTH[rating.system])
        # Ties count half, which pulls ratings together, so the truth is approached from below.
        assert 1500 < rating.elo.value < truth + 60
        assert rating.rank.lower <= rating.rank.value <= rating.rank.upper
        assert rating.rank.n == 120


def test_row_order_sides_and_names_change_nothing():
    first, second, p, ids = round_robin(2, 40)
    base = {r.system: r.elo.value for r in bradley_terry(first, second, p, ids, anchor="good", n_boot=10)}
    shuffle = np.random.default_rng(0).permutation(len(p))
    turned = bradley_terry(
        [second[i] for i in shuffle],
        [first[i] for i in shuffle],
        [1 - p[i] for i in shuffle],
        [f"q{ids[i]}" for i in shuffle],
        anchor="good",
        n_boot=10,
    )
    assert {r.system: r.elo.value for r in turned} == pytest.approx(base)
    rename = {name: f"z-{k}" for k, name in enumerate(STRENGTH)}
    renamed = bradley_terry(
        [rename[x] for x in first], [rename[x] for x in second], p, ids, anchor=rename["good"], n_boot=10
    )
    assert {r.system: r.elo.value for r in renamed} == pytest.approx({rename[k]: v for k, v in base.items()})


def test_copies_of_prompts_do_not_narrow_the_ranks():
    """Both orders of a prompt, or repeated judgements, are one prompt."""
    first, second, p, ids = round_robin(3, 30)
    once = bradley_terry(first, second, p, ids, anchor="weak", n_boot=400, prior_ties=0.0)
    aware = bradley_terry(first * 6, second * 6, p * 6, ids * 6, anchor="weak", n_boot=400, prior_ties=0.0)
    blind = bradley_terry(first * 6, second * 6, p * 6, range(len(p) * 6), anchor="weak", n_boot=400)
    for a, b, c in zip(once, aware, blind, strict=True):
        if a.system != "weak":
            assert b.elo.half_width == pytest.approx(a.elo.half_width, rel=1e-6)
            assert c.elo.half_width < 0.7 * a.elo.half_width


def test_equal_systems_share_ranks():
    rng = np.random.default_rng(4)
    first = [a for a, _ in itertools.combinations("abcd", 2)] * 40
    second = [b for _, b in itertools.combinations("abcd", 2)] * 40
    p = rng.choice([0.0, 1.0], len(first))
    ratings = bradley_terry(first, second, p, np.repeat(np.arange(40), 6).tolist(), n_boot=300)
    assert all(r.rank.lower <= 2 and r.rank.upper >= 3 for r in ratings)
    tied = bradley_terry(first, second, [0.5] * len(p), range(len(p)), n_boot=20)
    assert [r.rank.value for r in tied] == [1, 1, 1, 1]
    assert all(r.elo.value == pytest.approx(1500) for r in tied)


def test_a_system_that_never_lost_has_a_finite_rating():
    ratings = bradley_terry(["top"] * 20, ["low"] * 20, [1.0] * 20, range(20), anchor="low", n_boot=50)
    assert ratings[0].system == "top"
    # 20 wins and half a tie: odds of 20.25 to 0.25.
    assert ratings[0].elo.value == pytest.approx(1500 + 400 * math.log10(81), abs=1)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="no comparison links a with c, d"):
        bradley_terry(["a", "c"], ["b", "d"], [1.0, 0.0], [0, 1])
    with pytest.raises(ValueError, match="unknown anchor 'x', expected one of a, b"):
        bradley_terry(["a"], ["b"], [1.0], [0], anchor="x")
    assert bradley_terry([], [], [], []) == []


def test_win_matrix_is_antisymmetric_around_half():
    first, second, p, _ = round_robin(5, 30)
    names, matrix = win_matrix([*first, "best"], [*second, "new"], [*p, 0.0])
    assert names == ["best", "fair", "good", "new", "weak"]
    assert np.isnan(np.diag(matrix)).all()
    both = matrix + matrix.T
    assert both[~np.isnan(both)] == pytest.approx(1.0)
    assert matrix[names.index("new"), names.index("best")] == 1.0
    assert np.isnan(matrix[names.index("new"), names.index("weak")])


def test_cycles_of_a_stone_scissors_paper_judge():
    first, second = ["stone", "scissors", "paper"], ["scissors", "paper", "stone"]
    assert cyclic_triads(first, second, [1.0] * 3, [0] * 3).value == 1.0
    assert cyclic_triads(first, second, [1.0, 1.0, 0.0], [0] * 3).value == 0.0
    assert math.isnan(cyclic_triads(first, second, [1.0, 1.0, 0.5], [0] * 3).value)
    both = cyclic_triads(first * 2, second * 2, [1.0] * 5 + [0.0], [0] * 3 + [1] * 3)
    assert (both.value, both.n) == (0.5, 2)


def test_a_random_judge_makes_a_quarter_of_triads_cyclic_and_a_consistent_one_none():
    rng = np.random.default_rng(6)
    pairs = list(itertools.combinations("abcde", 2)) * 300
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    prompts = np.repeat(np.arange(300), 10).tolist()
    coin = cyclic_triads(first, second, rng.choice([0.0, 1.0], len(pairs)), prompts)
    assert coin.lower < 0.25 < coin.upper
    assert coin.half_width < 0.03
    ruler = cyclic_triads(first, second, [float(a < b) for a, b in pairs], prompts)
    assert ruler.value == 0.0
    assert 0 < ruler.upper < 0.02
