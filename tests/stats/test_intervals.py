"""Intervals against statsmodels, scipy and their own definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from aligner_bench.stats.bootstrap import bca_ends
from aligner_bench.stats.intervals import bca, clopper_pearson, mean_t, unseen_share, wilson

LEVELS = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@given(st.integers(1, 300), st.floats(0, 1), LEVELS)
def test_wilson_and_clopper_pearson_equal_statsmodels(n, share, level):
    k = round(share * n)
    for ours, name in ((wilson, "wilson"), (clopper_pearson, "beta")):
        estimate = ours(k, n, level)
        low, high = proportion_confint(k, n, alpha=1 - level, method=name)
        assert [estimate.lower, estimate.upper] == pytest.approx([low, high], abs=1e-9)
        assert estimate.lower <= k / n <= estimate.upper
        assert (estimate.n, estimate.level) == (n, level)


def test_no_trials_is_nan_and_bad_counts_are_refused():
    for interval in (wilson, clopper_pearson):
        assert math.isnan(interval(0, 0).value)
        assert math.isnan(interval(0, 0).upper)
        with pytest.raises(ValueError, match="between 0 and n"):
            interval(3, 2)


@given(st.integers(8, 60), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_cluster_t_equals_clustered_regression_on_a_constant(n, groups, seed):
    rng = np.random.default_rng(seed)
    x, labels = rng.random(n), rng.integers(0, groups, n)
    distinct = len(set(labels.tolist()))
    if distinct < 2:
        return
    fit = sm.OLS(x, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": labels, "df_correction": True})
    estimate = mean_t(x, labels, bounds=None)
    low, high = fit.conf_int()[0] if fit.use_t else (None, None)
    half = stats.t.ppf(0.975, distinct - 1) * float(fit.bse[0])
    assert estimate.half_width == pytest.approx(half, rel=1e-9)
    if low is not None:
        assert [estimate.lower, estimate.upper] == pytest.approx([low, high])


def test_families_of_one_give_the_ordinary_t_interval():
    x = np.random.default_rng(1).random(40)
    low, high = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    estimate = mean_t(x, level=0.9, bounds=None)
    assert [estimate.lower, estimate.upper] == pytest.approx([low, high])
    assert mean_t(x, range(40), 0.9, None).half_width == pytest.approx(estimate.half_width)


def test_missing_family_labels_are_families_of_one():
    x = np.random.default_rng(1).random(12)
    single = mean_t(x)
    assert mean_t(x, [None] * 12).half_width == pytest.approx(single.half_width)
    assert mean_t(x, np.full(12, np.nan)).half_width == pytest.approx(single.half_width)


def test_one_family_says_nothing_about_the_spread():
    estimate = mean_t([0.2, 0.4, 0.9], ["f"] * 3)
    assert (estimate.value, estimate.lower, estimate.upper, estimate.n) == (0.5, 0.0, 1.0, 3)
    assert mean_t([3.0], bounds=None).upper == math.inf
    assert math.isnan(mean_t([]).value)


def test_constant_data_have_an_interval_by_sample_size():
    for n in (2, 20, 805):
        estimate = mean_t(np.ones(n))
        assert estimate.upper == 1.0
        assert estimate.lower == pytest.approx(clopper_pearson(n, n).lower)
    assert mean_t([7.0, 7.0], bounds=None).lower == -math.inf
    assert mean_t([0.5] * 40, [0, 1] * 20).half_width == pytest.approx(mean_t([0.5] * 2).half_width)


def test_the_interval_shrinks_steadily_as_rare_wins_appear():
    """One win among 805 ties must not give a narrower interval than none."""
    rates = [mean_t([1.0] * k + [0.5] * (805 - k)) for k in range(12)]
    assert all(b.half_width > a.half_width for a, b in itertools.pairwise(rates[:6]))
    assert all(rate.lower <= 0.5 for rate in rates[:6]), "five wins of one sign do not pass a sign test"
    assert rates[6].lower > 0.5


def test_unseen_share_is_the_exact_binomial_bound():
    assert unseen_share(10) == pytest.approx(clopper_pearson(0, 10).upper)
    assert unseen_share(10, unusual=3) == pytest.approx(clopper_pearson(3, 10).upper - 0.3)
    assert unseen_share(0) == 1.0


def test_bca_of_any_statistic_and_of_the_mean_agree():
    """The vectorised path for means against the general one, with the same draws."""
    rng = np.random.default_rng(5)
    x, families = rng.beta(2, 5, 60), rng.integers(0, 25, 60)
    fast = bca(x, np.mean, families, 600, seed=4)
    slow = bca(x, lambda rows: float(rows.mean()), families, 600, seed=4)
    assert [fast.lower, fast.upper] == pytest.approx([slow.lower, slow.upper])


def test_bca_lies_near_scipys_for_many_rows():
    """scipy has no small-sample expansion, which for 400 rows is a fraction of a percent of the width."""
    x = np.random.default_rng(2).exponential(size=400)
    theirs = stats.bootstrap((x,), np.mean, n_resamples=20_000, method="BCa", rng=1).confidence_interval
    ours = bca(x, np.mean, n_boot=20_000, seed=1)
    width = theirs.high - theirs.low
    assert ours.lower == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.upper == pytest.approx(theirs.high, abs=0.03 * width)
    assert ours.upper - ours.value > ours.value - ours.lower, "skewed data give a skewed interval"


def test_bca_ends_follow_efrons_formula():
    """Equations 2.3 and 6.6 written out, for skewed replicates of which a fifth equal the value."""
    replicates = np.round(np.random.default_rng(3).gamma(2.0, 1.0, 500), 0)
    jackknife = np.array([1.0, 1.9, 2.0, 2.05, 2.1, 2.4])
    below = ((replicates < 2).sum() + (replicates == 2).sum() / 2) / 500
    z0, gap = stats.norm.ppf(below), jackknife.mean() - jackknife
    a = (gap**3).sum() / (6 * (gap**2).sum() ** 1.5)
    z = stats.t.ppf(0.975, 5) * math.sqrt(6 / 5)
    ends = [stats.norm.cdf(z0 + (z0 + side) / (1 - a * (z0 + side))) for side in (-z, z)]
    assert bca_ends(2.0, replicates, jackknife) == pytest.approx(np.quantile(replicates, ends))
    ties = bca_ends(0.0, np.array([-1.0] * 10 + [0.0] * 80 + [1.0] * 10), np.array([-1.0, 0.0, 0.0, 1.0]))
    assert ties == (-1.0, 1.0), "replicates equal to the value lie on both sides of it"


def test_bca_is_wider_for_few_families_and_follows_its_seed():
    rng = np.random.default_rng(8)
    x = np.repeat(rng.random(15), 6)
    families = np.repeat(np.arange(15), 6)
    assert bca(x, np.mean, families).half_width > 1.8 * bca(x, np.mean).half_width
    assert bca(x, np.mean, families, seed=3) == bca(x, np.mean, families, seed=3)


def test_bca_on_tables_and_in_degenerate_cases():
    rows = np.column_stack([np.arange(30.0), np.arange(30.0) * 2 + 1])
    ratio = bca(rows, lambda r: float(r[:, 1].sum() / r[:, 0].sum()), n_boot=300)
    assert ratio.lower <= ratio.value <= ratio.upper
    assert math.isnan(bca([], np.mean).value)
    assert bca([1.0, 1.0], np.mean, ["a", "a"], bounds=(0, 1)).lower == 0.0
    flat = bca([0.5] * 50, np.mean, bounds=(0, 1))
    assert flat.lower == pytest.approx(0.5 - unseen_share(50) / 2)
