"""Win rates: invariants, and agreement with textbook formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from aligner_bench.stats.winrate import DEFINITIONS, counts, win_rate

SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 0.1, 0.9])
ROWS = st.lists(st.tuples(SCORES, st.integers(0, 6), st.sampled_from("abc")), min_size=1, max_size=60)
MIRROR = {
    "strict": ("strict", 1.0),
    "strict_all": ("compare_no_drop", 1.0),
    "compare_no_drop": ("strict_all", 1.0),
    "discrete": ("discrete", 1.0),
    "weighted": ("weighted", 1.0),
    "omega": ("omega", 0.0),
    "macro": ("macro", 1.0),
}


def split(rows: list[tuple[float, int, str]]) -> tuple[np.ndarray, list[int], list[str]]:
    return np.array([r[0] for r in rows]), [r[1] for r in rows], [r[2] for r in rows]


def numbers(estimate) -> list[float]:
    return [estimate.value, estimate.lower, estimate.upper]


@given(ROWS, st.sampled_from(sorted(DEFINITIONS)), st.booleans())
def test_swapping_the_two_sides_mirrors_value_and_interval(rows, definition, clustered):
    p, families, categories = split(rows)
    labels = families if clustered else None
    name, total = MIRROR[definition]
    here = win_rate(p, definition, labels, categories)
    there = win_rate(1 - p, name, labels, categories)
    mirrored = [total - there.value, total - there.upper, total - there.lower]
    assert numbers(here) == pytest.approx(mirrored, abs=1e-12, nan_ok=True)
    assert here.n == there.n


@given(ROWS, st.sampled_from(sorted(DEFINITIONS)), st.randoms(use_true_random=False))
def test_names_and_order_of_rows_and_families_change_nothing(rows, definition, random):
    p, families, categories = split(rows)
    first = win_rate(p, definition, families, categories)
    order = list(range(len(rows)))
    random.shuffle(order)
    renamed = [f"family-{(7 * families[i]) % 11}" for i in order]
    again = win_rate(p[order], definition, renamed, [categories[i] * 2 for i in order])
    assert numbers(first) == pytest.approx(numbers(again), abs=1e-12, nan_ok=True)
    assert first.n == again.n


@given(ROWS)
def test_definitions_are_consistent(rows):
    p, families, _ = split(rows)
    tally = counts(p)
    assert tally.wins + tally.ties + tally.losses == tally.n == len(rows)
    omega, discrete = win_rate(p, "omega", families), win_rate(p, "discrete", families)
    assert numbers(omega) == pytest.approx([2 * x - 1 for x in numbers(discrete)], abs=1e-12)
    assert omega.value == pytest.approx((tally.wins - tally.losses) / tally.n)
    low, high = win_rate(p, "strict_all").value, win_rate(p, "compare_no_drop").value
    assert low - 1e-12 <= discrete.value <= high + 1e-12
    if tally.ties == 0:
        assert win_rate(p, "strict").value == pytest.approx(discrete.value)
    if tally.wins + tally.losses:
        assert win_rate(p, "strict").value == pytest.approx(tally.wins / (tally.wins + tally.losses))


@given(ROWS, st.sampled_from(sorted(DEFINITIONS)))
def test_values_lie_in_their_interval_and_their_range(rows, definition):
    p, families, categories = split(rows)
    estimate = win_rate(p, definition, families, categories)
    if estimate.n == 0:
        assert all(math.isnan(x) for x in numbers(estimate))
        return
    least = -1.0 if definition == "omega" else 0.0
    assert least <= estimate.lower <= estimate.value + 1e-12
    assert estimate.value - 1e-12 <= estimate.upper <= 1.0
    assert estimate.upper > estimate.lower, "no data of finite size give certainty"


@given(ROWS, st.sampled_from(sorted(set(DEFINITIONS) - {"macro"})), st.integers(2, 5))
def test_copies_of_the_families_rows_do_not_shrink_the_interval(rows, definition, copies):
    """Repeated judgements of a family's prompts add no family."""
    p, families, categories = split(rows)
    once = win_rate(p, definition, families, categories)
    often = win_rate(np.tile(p, copies), definition, families * copies, categories * copies)
    assert often.value == pytest.approx(once.value, abs=1e-12, nan_ok=True)
    # Families of one have Wilson's interval, copied ones a t interval; compare like with like.
    if once.method == often.method:
        assert often.half_width >= once.half_width - 1e-12 or math.isnan(once.half_width)


def test_duplicates_without_labels_shrink_the_interval():
    """Without family labels, copies count as new observations."""
    p = np.array([1.0, 0.0, 1.0, 1.0, 0.5, 0.0, 1.0, 0.0, 1.0, 1.0] * 3)
    copied = np.repeat(p, 4)
    blind = win_rate(copied, "discrete").half_width
    aware = win_rate(copied, "discrete", np.repeat(np.arange(p.size), 4)).half_width
    assert aware == pytest.approx(win_rate(p, "discrete").half_width)
    assert blind < 0.6 * aware


@pytest.mark.parametrize("definition", sorted(DEFINITIONS))
def test_identity_is_all_ties_with_nonzero_interval(definition):
    """An identity corrector: every prompt ties. 805 ties leave room for about 3.7/805 unseen others."""
    estimate = win_rate(np.full(805, 0.5), definition, categories=["a"] * 805)
    expected = {"strict": math.nan, "macro": math.nan, "strict_all": 0, "compare_no_drop": 1, "omega": 0}
    assert estimate.value == pytest.approx(expected.get(definition, 0.5), nan_ok=True)
    if definition in ("discrete", "weighted"):
        unseen = 1 - 0.025 ** (1 / 805)
        assert estimate.lower == pytest.approx(0.5 - unseen / 2)
        assert estimate.upper == pytest.approx(0.5 + unseen / 2)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_shares_of_single_prompts_have_wilsons_interval(wins, ties, losses):
    p = [1.0] * wins + [0.5] * ties + [0.0] * losses
    for definition, k, n in (
        ("strict", wins, wins + losses),
        ("strict_all", wins, len(p)),
        ("compare_no_drop", wins + ties, len(p)),
    ):
        estimate = win_rate(p, definition, clusters=range(len(p)) if p else None)
        if n:
            low, high = proportion_confint(k, n, method="wilson")
            assert numbers(estimate) == pytest.approx([k / n, low, high], abs=1e-12)
        else:
            assert math.isnan(estimate.value)


def test_macro_keeps_the_uncertainty_of_a_category_won_throughout():
    p = [1.0] * 10 + [1.0, 0.0] * 20
    categories = ["easy"] * 10 + ["even"] * 40
    macro, even = win_rate(p, "macro", categories=categories), win_rate([1.0, 0.0] * 20, "strict")
    easy = win_rate([1.0] * 10, "strict")
    assert macro.value == 0.75
    assert macro.lower == pytest.approx(0.75 - math.hypot(0.5 - even.lower, 1 - easy.lower) / 2)
    assert macro.upper == pytest.approx(0.75 + (even.upper - 0.5) / 2)


def test_macro_with_families_across_categories_is_clustered():
    """Two categories that repeat the same prompts hold no more than one of them."""
    rng = np.random.default_rng(0)
    p = rng.choice([0.0, 1.0], size=60)
    double = win_rate([*p, *p], "macro", [*range(60), *range(60)], ["x"] * 60 + ["y"] * 60)
    single = win_rate(p, "weighted")
    assert numbers(double) == pytest.approx(numbers(single))


@pytest.mark.parametrize("families", [None, [*range(20), *range(20), *range(10, 20)]])
def test_macro_weighs_categories_alike_and_leaves_ties_out(families):
    """8 of 8 decided in a small category and 8 of 32 in a large one; families may cross them."""
    p = [1.0] * 8 + [0.5] * 2 + [1.0] * 8 + [0.0] * 24 + [0.5] * 8
    macro = win_rate(p, "macro", families, ["small"] * 10 + ["large"] * 40)
    assert (macro.value, macro.n) == (pytest.approx((1 + 0.25) / 2), 40)


def test_errors_name_what_was_expected():
    with pytest.raises(ValueError, match="expected one of strict"):
        win_rate([1.0], "winrate")
    with pytest.raises(ValueError, match="category of every prompt"):
        win_rate([1.0], "macro")
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        counts([1.5])
    with pytest.raises(ValueError, match="NaN"):
        counts([math.nan])
    with pytest.raises(ValueError, match="2 labels for 1 rows"):
        win_rate([1.0], "discrete", clusters=["a", "b"])
