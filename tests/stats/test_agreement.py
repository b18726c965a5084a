"""Agreement against scikit-learn and evalica; the corrected rate against its formula and by simulation."""

from __future__ import annotations

import math

import evalica
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aligner_bench.stats.agreement import cohen_kappa, corrected_rate, krippendorff_alpha

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40)
metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")


@given(LABELS, st.sampled_from(["none", "linear", "quadratic"]))
def test_kappa_equals_scikit_learn(pairs, weights):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    kappa = cohen_kappa(a, b, weights=weights, n_boot=50)
    if len({*a, *b}) == 1:
        assert math.isnan(kappa.value)
        return
    # scikit-learn numbers only the labels that occur, as we do.
    expected = metrics.cohen_kappa_score(a, b, weights=None if weights == "none" else weights)
    assert kappa.value == pytest.approx(expected, abs=1e-12)
    assert kappa.lower <= kappa.value <= kappa.upper
    assert cohen_kappa(b, a, weights=weights, n_boot=50).value == pytest.approx(kappa.value)


@given(
    st.lists(st.lists(st.sampled_from([1, 2, 3, 5, None]), min_size=3, max_size=3), min_size=3, max_size=25),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_equals_evalica(units, scale):
    ratings = list(zip(*units, strict=True))
    pairable = [u for u in units if sum(v is not None for v in u) > 1]
    alpha = krippendorff_alpha(ratings, scale=scale, n_boot=50)
    assert alpha.n == len(pairable)
    if len({v for u in pairable for v in u if v is not None}) < 2:
        assert math.isnan(alpha.value)
        return
    table = pd.DataFrame([[np.nan if v is None else float(v) for v in row] for row in ratings])
    assert alpha.value == pytest.approx(evalica.alpha(table, distance=scale).alpha, abs=1e-9)


def raters(seed: int, n: int, agree: float) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    a = rng.choice(["win", "tie", "loss"], n)
    return a.tolist(), np.where(rng.random(n) < agree, a, rng.choice(["win", "tie", "loss"], n)).tolist()


def test_kappa_interval_has_its_nominal_coverage():
    """Raters that agree with probability 0.6 and guess otherwise have kappa 0.6."""
    hits = 0
    for seed in range(300):
        kappa = cohen_kappa(*raters(seed, 80, 0.6), n_boot=400, seed=seed)
        hits += kappa.lower <= 0.6 <= kappa.upper
    assert 0.90 <= hits / 300 <= 0.985


def test_kappa_by_families_and_at_its_ends():
    a, b = raters(1, 60, 0.5)
    once = cohen_kappa(a, b)
    copies = cohen_kappa(a * 4, b * 4, clusters=list(range(60)) * 4)
    assert copies.half_width == pytest.approx(once.half_width, rel=0.1)
    assert cohen_kappa(a * 4, b * 4).half_width < 0.7 * once.half_width
    perfect = cohen_kappa(a, a)
    assert perfect.value == 1.0
    assert perfect.lower < 1.0
    assert math.isnan(cohen_kappa([], []).value)
    with pytest.raises(ValueError, match="pair them"):
        cohen_kappa(["a"], [])


def test_alpha_without_pairs_or_families():
    assert math.isnan(krippendorff_alpha([[1, None], [None, 2]]).value)
    assert krippendorff_alpha([[1, 2, 1], [1, 2, 2]], clusters=["f"] * 3).lower == -1.0


def test_corrected_rate_is_rogan_gladen():
    rate = corrected_rate((60, 100), (45, 50), (40, 50))
    assert rate.value == pytest.approx((0.6 + 0.8 - 1) / (0.9 + 0.8 - 1))
    assert rate.n == 100
    exact = corrected_rate((600, 1000), (10**6, 10**6), (10**6, 10**6))
    assert exact.value == pytest.approx(0.6)
    assert exact.half_width == pytest.approx(1.96 * math.sqrt(0.24 / 1000), rel=0.02)


def test_corrected_rate_is_wider_with_less_calibration_and_never_certain():
    widths = [corrected_rate((300, 600), (9 * m, 10 * m), (8 * m, 10 * m)).half_width for m in (1, 5, 100)]
    assert widths[0] > 1.3 * widths[1] > 1.3 * widths[2]
    flawless = corrected_rate((300, 600), (10, 10), (10, 10))
    assert flawless.value == 0.5
    assert flawless.half_width > 1.5 * 1.96 * math.sqrt(0.25 / 600)


@pytest.mark.parametrize("poor", [0, 1])
def test_either_half_of_a_short_calibration_widens_the_corrected_rate(poor):
    """At a rate of one half the doubt about true wins and about true losses counts alike."""
    long, short = (9000, 10_000), (9, 10)
    halves = [short if half == poor else long for half in (0, 1)]
    assert (
        corrected_rate((300, 600), *halves).half_width
        > 1.5 * corrected_rate((300, 600), long, long).half_width
    )


def test_a_judge_at_chance_cannot_be_corrected():
    rate = corrected_rate((60, 100), (10, 20), (10, 20))
    assert math.isnan(rate.value)
    assert (rate.lower, rate.upper) == (0.0, 1.0)
    assert corrected_rate((60, 100), (0, 0), (5, 5)).n == 0


@pytest.mark.parametrize(("truth", "se", "sp"), [(0.3, 0.85, 0.8), (0.6, 0.7, 0.9), (0.05, 0.9, 0.9)])
def test_corrected_interval_has_its_nominal_coverage(truth, se, sp):
    rng = np.random.default_rng(1)
    called = truth * se + (1 - truth) * (1 - sp)
    draws = rng.binomial([400, 60, 60], [called, se, sp], size=(2000, 3)).tolist()
    estimates = [corrected_rate((k, 400), (a, 60), (b, 60)) for k, a, b in draws]
    assert 0.93 <= np.mean([e.lower <= truth <= e.upper for e in estimates]) <= 0.985
