"""Trends over size against scipy's tests of the same hypotheses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from aligner_bench.stats.trend import page, slope_per_doubling

TABLE = np.random.default_rng(3).normal([0.40, 0.45, 0.50], 0.2, size=(12, 3))


def test_the_slopes_p_value_is_the_two_sided_t_test_of_the_blocks_slopes():
    slopes = (TABLE[:, 2] - TABLE[:, 0]) / 2
    estimate, p = slope_per_doubling(TABLE, [1, 2, 4])
    assert estimate.value == pytest.approx(slopes.mean())
    assert p == pytest.approx(stats.ttest_1samp(slopes, 0).pvalue)
    down, same = slope_per_doubling(TABLE[:, ::-1], [1, 2, 4])
    assert (down.value, same) == (pytest.approx(-slopes.mean()), pytest.approx(p))


def test_blocks_of_one_family_are_one():
    families = np.repeat(np.arange(12), 4)
    copies = slope_per_doubling(np.repeat(TABLE, 4, axis=0), [1, 2, 4], families)
    assert copies[1] == pytest.approx(slope_per_doubling(TABLE, [1, 2, 4])[1])


def test_pages_p_value_is_two_sided():
    up, down = stats.page_trend_test(TABLE), stats.page_trend_test(TABLE[:, ::-1])
    statistic, p = page(TABLE)
    assert statistic == up.statistic
    assert p == pytest.approx(min(1, 2 * min(up.pvalue, down.pvalue)))
    assert page(TABLE[:, ::-1])[1] == pytest.approx(p)
