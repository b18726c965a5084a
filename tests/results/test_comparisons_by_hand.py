"""One comparison's numbers from rows written down by hand: counts, conclusions, families, power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from aligner_bench.results.measures.comparisons import PAPER_DIFFERENCE
from aligner_bench.results.number import Number
from aligner_bench.stats.intervals import mean_t
from tests.correctors.handmade import make_run
from tests.graded import ids, prompts, responses, verdicts

ORDERS = [
    (1.0, 1.0),  # won
    (1.0, 0.0),  # the orders disagree: a tie
    (0.9, 0.2),  # they disagree: won by 0.55
    (0.1, 0.6),  # they disagree: lost by 0.35
    (0.0, 0.2),  # lost
    (0.5, 0.5),  # equal texts: nobody was asked
    (1.0, None),  # one order failed, so the pair did
    (0.5, 0.9),  # a tie and a win disagree, too: won by 0.7
]


def compared(folder, preferences, same=(), families=None, categories=None, audits=(), **judge):
    n = len(preferences)
    answers = [*responses("base", [True] * n), *responses("new", [True] * n, [True] * n)]
    made = verdicts(preferences, same=same)
    return make_run(folder, prompts(n, families, categories), answers, made, audits, **judge).results()


def test_every_count_from_two_orders(tmp_path):
    results = compared(tmp_path / "r", ORDERS, same=("p005",), categories=["a", "b"] * 4)
    [row] = results.rows
    assert (row.n_total, row.n_wins, row.n_draws, row.n_wins_base, row.n_failed) == (8, 3, 2, 2, 1)
    assert (row.n_inconsistent, row.n_identical, row.orders) == (4, 1, 2)
    assert row.failures == {"error": 1}
    assert {part.category: part.n_inconsistent for part in row.by_category} == {"a": 1, "b": 3}
    assert {part.category: part.n_wins for part in row.by_category} == {"a": 2, "b": 1}
    assert row.rates["weighted"].value == pytest.approx((1 + 0.5 + 0.55 + 0.35 + 0.1 + 0.5 + 0.7) / 7)
    assert row.rates["discrete"].value == pytest.approx(4 / 7)
    assert row.rates["strict"].value == pytest.approx(3 / 5)
    assert row.rates["strict_all"].value == pytest.approx(3 / 7)
    assert row.rates["omega"].value == pytest.approx(1 / 7)
    [judge] = results.judges
    assert (judge.consistency.value, judge.consistency.n) == (pytest.approx(2 / 6), 6)


def test_agreeing_orders_are_not_inconsistent(tmp_path):
    [row] = compared(tmp_path / "r", [(1.0, 0.9), (0.1, 0.2), (0.5, 0.5)]).rows
    assert row.n_inconsistent == 0


@pytest.mark.parametrize(
    ("wins", "losses", "conclusion"),
    [(8, 2, "undecided"), (18, 2, "better"), (2, 18, "worse"), (2, 8, "undecided")],
)
def test_a_conclusion_needs_the_whole_interval(wins, losses, conclusion, tmp_path):
    [row] = compared(tmp_path / "r", [1.0] * wins + [0.0] * losses).rows
    assert row.conclusion == conclusion
    values = np.array([1.0] * wins + [0.0] * losses)
    sd = values.std(ddof=1)
    assert row.standard_error == pytest.approx(100 * sd / values.size**0.5)
    assert row.p_value == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert row.mde == pytest.approx(z * sd / values.size**0.5)
    assert row.n_to_decide == np.ceil((z * sd / (values.mean() - 0.5)) ** 2)


def test_equal_texts_throughout_are_the_same_and_one_is_not(tmp_path):
    [all_same] = compared(tmp_path / "a", [0.5] * 12, same=ids(12)).rows
    [one_same] = compared(tmp_path / "b", [0.5] + [1.0] * 19, same=("p000",)).rows
    assert (all_same.conclusion, one_same.conclusion) == ("same", "better")


def test_families_are_the_clusters_of_every_rate(tmp_path):
    values = [1.0] * 6 + [0.0] * 6 + [1.0] * 6 + [0.5] * 6
    families = [f"f{i // 6}" for i in range(24)]
    [row] = compared(tmp_path / "r", values, families=families).rows
    expected = mean_t(values, families)
    assert (row.rates["weighted"].lower, row.rates["weighted"].upper) == (expected.lower, expected.upper)
    assert row.rates["strict"].method == "cluster t"
    assert row.conclusion == "undecided"


def audits(preferences):
    """Known winners: a pair of preferences is two orders, a number is the first order alone."""
    rows = []
    for i, given in enumerate(preferences):
        orders = given if isinstance(given, tuple) else (given,)
        for order, value in zip(("candidate_first", "baseline_first"), orders, strict=False):
            row = {"judge": "facts", "pair_id": f"k{i}", "order": order, "preference": value, "detail": ""}
            rows.append({**row, "status": "tie" if value == 0.5 else "ok"})
    return rows


@pytest.mark.parametrize(
    ("known", "power", "accuracy"),
    [
        ([(1.0, 1.0)] * 8 + [(0.0, 0.0)] * 2, False, 0.8),  # the interval reaches below one half
        ([(1.0, 1.0)] * 18 + [(0.0, 0.0)] * 2, True, 0.9),
        ([(1.0, 1.0)] * 12 + [(0.5, 0.5)] * 12, False, 0.5),  # a tie is not right
        ([1.0] * 24, False, 1.0),  # right, but always in the first slot
        ([], False, None),
    ],
)
def test_a_judge_has_power_by_its_interval_and_its_slots(known, power, accuracy, tmp_path):
    results = compared(tmp_path / "r", [1.0] * 20, audits=audits(known), needs_audit=True)
    [judge], [row] = results.judges, results.rows
    assert judge.has_power is power
    assert (judge.accuracy and judge.accuracy.value) == accuracy
    assert row.conclusion == ("better" if power else "no_power")
    assert (judge.consistency is None) == all(isinstance(given, float) for given in known)


def test_the_difference_from_a_paper_joins_the_near_sides():
    """The lower end needs our lower side and the paper's upper one (Zou and Donner 2008)."""
    ours = Number(value=0.6, lower=0.5, upper=0.8, n=50, method="t")
    found = PAPER_DIFFERENCE(ours, 0.5, 0.3, 0.55, "mover")
    assert found.value == pytest.approx(0.1)
    assert found.lower == pytest.approx(0.1 - math.hypot(0.1, 0.05))
    assert found.upper == pytest.approx(0.1 + math.hypot(0.2, 0.2))
