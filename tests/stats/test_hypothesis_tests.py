"""Tests and corrections against statsmodels, scipy and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from aligner_bench.stats.hypothesis_tests import (
    benjamini_hochberg,
    drop_p,
    holm,
    jonckheere,
    mcnemar_exact,
    paired_difference,
    sign_flip_permutation,
)

PVALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_equals_statsmodels(b, c):
    expected = mcnemar([[5, b], [c, 7]], exact=True).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected)
    assert mcnemar_exact(b, c) == pytest.approx(mcnemar_exact(c, b))


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=9))
def test_sign_flips_of_few_rows_are_all_counted(d):
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((-1, 1), repeat=len(d))]
    expected = np.mean([s >= abs(sum(d)) - 1e-9 for s in sums])
    assert sign_flip_permutation(d) == pytest.approx(expected)


def test_sign_flips_of_many_rows_are_sampled():
    rng = np.random.default_rng(0)
    d = rng.normal(0.25, 1, 120)
    p = sign_flip_permutation(d, seed=1)
    assert p == sign_flip_permutation(d, seed=1)
    assert p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)
    assert sign_flip_permutation(d + 5) == pytest.approx(1 / 10_000)


def test_families_flip_together():
    """Ten copies of each of eight differences carry the evidence of eight."""
    d = np.array([1.0, 1, 1, 1, 1, 1, 0.5, -0.5])
    copies = sign_flip_permutation(np.repeat(d, 10), np.repeat(np.arange(8), 10))
    assert copies == pytest.approx(sign_flip_permutation(d))
    assert sign_flip_permutation(np.repeat(d, 10)) < copies / 10


def test_paired_difference_is_narrower_than_unpaired_where_systems_agree():
    rng = np.random.default_rng(4)
    a = rng.choice([0.0, 0.5, 1.0], 300)
    b = np.where(rng.random(300) < 0.8, a, rng.choice([0.0, 0.5, 1.0], 300))
    paired = paired_difference(a, b)
    low, high = stats.ttest_rel(a, b).confidence_interval()
    assert [paired.lower, paired.upper] == pytest.approx([low, high])
    unpaired = stats.ttest_ind(a, b).confidence_interval()
    assert paired.half_width < 0.6 * (unpaired.high - unpaired.low) / 2
    swapped = paired_difference(b, a)
    assert [swapped.lower, swapped.upper] == pytest.approx([-paired.upper, -paired.lower])
    with pytest.raises(ValueError, match="pair them by prompt"):
        paired_difference([1.0], [1.0, 0.0])


@given(PVALUES)
def test_adjusted_p_values_follow_their_definitions(pvalues):
    p = np.array(pvalues)
    order, m = np.argsort(p, kind="stable"), p.size
    stepped = np.minimum(np.maximum.accumulate((m - np.arange(m)) * p[order]), 1)
    up = np.minimum(np.minimum.accumulate((m / np.arange(1, m + 1) * p[order])[::-1])[::-1], 1)
    assert holm(p)[order] == pytest.approx(stepped)
    assert benjamini_hochberg(p)[order] == pytest.approx(up)
    assert (holm(p) >= benjamini_hochberg(p) - 1e-12).all()


def test_adjusted_p_values_equal_statsmodels():
    p = np.random.default_rng(0).beta(0.5, 2, 40)
    for ours, name in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        assert ours(p) == pytest.approx(multipletests(p, method=name)[1])


def test_corrections_of_nothing_and_of_nonsense():
    assert holm([]).size == 0
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        benjamini_hochberg([0.5, 1.2])


def test_jonckheere_of_two_groups_is_mann_whitney():
    rng = np.random.default_rng(6)
    low, high = rng.integers(0, 6, 30), rng.integers(1, 8, 25)
    statistic, p = jonckheere([low, high])
    theirs = stats.mannwhitneyu(high, low, use_continuity=False, method="asymptotic")
    assert statistic == pytest.approx(theirs.statistic)
    assert p == pytest.approx(theirs.pvalue)
    one_sided = jonckheere([low, high], "increasing")[1]
    assert one_sided == pytest.approx(p / 2)
    assert jonckheere([low, high], "decreasing")[1] == pytest.approx(1 - one_sided)


def test_jonckheere_variance_against_all_permutations():
    """Three groups with ties: the normal variance must be the exact one over every arrangement."""
    values, sizes = [0, 1, 1, 2, 2, 2, 4], (2, 2, 3)
    cuts = np.cumsum(sizes)[:-1]
    seen = [jonckheere(np.split(np.array(v), cuts))[0] for v in set(itertools.permutations(values))]
    observed, p = jonckheere(np.split(np.array(values), cuts))
    z = (observed - np.mean(seen)) / np.std(seen)
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


def test_jonckheere_sees_a_trend_and_needs_groups():
    rng = np.random.default_rng(9)
    rising = [rng.normal(0.4 * k, 1, 25) for k in range(4)]
    assert jonckheere(rising)[1] < 1e-3
    assert jonckheere(rising[::-1], "increasing")[1] > 0.99
    assert jonckheere([[1.0], [1.0, 1.0]])[1] == 1.0
    with pytest.raises(ValueError, match="two groups"):
        jonckheere([[1.0, 2.0], []])


def test_families_are_the_units_of_paired_differences_and_of_drop_p():
    """With families of one size the tests are those of the families' means."""
    rng = np.random.default_rng(7)
    families = np.repeat(np.arange(12), 5)
    a, b = np.repeat(rng.normal(0, 0.3, 12), 5) + rng.normal(0, 0.1, 60), np.zeros(60)
    means = (a - b).reshape(12, 5).mean(axis=1)
    low, high = stats.ttest_1samp(means, 0).confidence_interval()
    found = paired_difference(a, b, families)
    assert [found.lower, found.upper] == pytest.approx([low, high])
    assert paired_difference(a, b).half_width < 0.6 * found.half_width
    expected = stats.ttest_1samp(means, -0.03, alternative="less").pvalue
    assert drop_p(a - b, 0.03, families) == pytest.approx(expected)
