"""Judges with known biases are detected."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from aligner_bench.stats.intervals import clopper_pearson
from aligner_bench.stats.judge_power import (
    POLICIES,
    first_slot_share,
    known_winner_accuracy,
    position_consistency,
    power_failures,
    tie_policies,
    verbosity_slope,
)


def judge(seed: int, n: int, bias: float, skill: float) -> tuple[np.ndarray, np.ndarray]:
    """Preferences for the candidate (the true winner) shown first and second; bias favours the first slot."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, n))
    return (noise[0] + skill + bias > 0).astype(float), (noise[1] + skill - bias > 0).astype(float)


def test_a_judge_that_reads_only_the_first_answer_has_no_power():
    """As SmolLM2 does with a short A/B prompt: the first slot in 128 of 128."""
    first, second = np.ones(64), np.zeros(64)
    slot = first_slot_share(first, second)
    assert (slot.value, slot.upper, slot.n) == (1.0, 1.0, 64)
    assert slot.lower == pytest.approx(0.025 ** (1 / 64))
    accuracy = known_winner_accuracy((first + second) / 2)
    assert accuracy.value == 0.5
    reasons = power_failures(accuracy, slot)
    assert len(reasons) == 2
    assert "50%" in reasons[0]
    assert "90%" in reasons[1]
    assert position_consistency(first, second).value == 0.0
    assert math.isnan(tie_policies(first, second)["consistent_only"].value)


def test_a_fair_skilled_judge_has_power():
    first, second = judge(0, 200, 0.0, 1.2)
    accuracy, slot = known_winner_accuracy((first + second) / 2), first_slot_share(first, second)
    assert power_failures(accuracy, slot) == []
    assert slot.lower < 0.5 < slot.upper
    assert position_consistency(first, second).value > 0.7
    assert power_failures(None, None) == []


def test_a_judge_worse_than_chance_is_no_better():
    assert power_failures(known_winner_accuracy(np.zeros(50)), None)


def test_power_needs_the_whole_interval_and_both_slot_limits():
    """8 of 10 right leaves chance within the interval; a judge may not favour either slot throughout."""
    assert power_failures(known_winner_accuracy([1.0] * 8 + [0.0] * 2), None)
    assert not power_failures(known_winner_accuracy([1.0] * 18 + [0.0] * 2), None)
    shares = {k: first_slot_share([1.0] * k + [0.0] * (40 - k)) for k in (2, 4, 36, 38)}
    assert [bool(power_failures(None, share)) for share in shares.values()] == [True, False, False, True]


def test_accuracy_is_exact_without_ties_and_counts_a_tie_half():
    p = np.array([1.0] * 17 + [0.0] * 3)
    exact = clopper_pearson(17, 20)
    assert known_winner_accuracy(p) == exact
    assert known_winner_accuracy([1.0] * 17 + [0.5] * 2 + [0.0]).value == pytest.approx(0.9)
    clustered = known_winner_accuracy(np.repeat(p, 5), np.repeat(np.arange(20), 5))
    assert clustered.half_width > 2 * known_winner_accuracy(np.repeat(p, 5)).half_width


def test_first_slot_share_of_single_orders_is_the_exact_binomial():
    verdicts = [1.0] * 30 + [0.0] * 12 + [0.5] * 5
    slot = first_slot_share(verdicts)
    exact = stats.binomtest(30, 42).proportion_ci(method="exact")
    assert [slot.value, slot.lower, slot.upper] == pytest.approx([30 / 42, exact.low, exact.high])
    assert slot.n == 42
    assert math.isnan(first_slot_share([0.5]).value)


@pytest.mark.parametrize("bias", [0.0, 0.5, 1.5])
def test_first_slot_interval_has_at_least_nominal_coverage(bias: float):
    """Two orders of a prompt are not two trials; the interval must hold for any bias."""
    truth = stats.norm.cdf(bias)
    slots = [first_slot_share(*judge(seed, 40, bias, 0.0)) for seed in range(500)]
    assert np.mean([s.lower <= truth <= s.upper for s in slots]) >= 0.95


def test_tie_policies_differ_only_where_orders_disagree():
    first, second = np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.5, 0.0, 0.0])
    policies = tie_policies(first, second)
    assert list(policies) == list(POLICIES)
    assert policies["average"].value == pytest.approx((1 + 0.75 + 0 + 0.5) / 4)
    assert policies["disagreement_is_tie"].value == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert policies["consistent_only"].value == pytest.approx(0.5)
    assert policies["consistent_only"].n == 2
    agreeing = tie_policies(first, first)
    assert len({e.value for e in agreeing.values()}) == 1


def test_swapping_candidate_and_baseline_keeps_position_and_mirrors_preference():
    first, second = judge(3, 80, 0.6, 0.4)
    swapped = (1 - second, 1 - first)
    assert first_slot_share(*swapped).value == pytest.approx(first_slot_share(first, second).value)
    assert position_consistency(*swapped).value == position_consistency(first, second).value
    for name, estimate in tie_policies(first, second).items():
        assert tie_policies(*swapped)[name].value == pytest.approx(1 - estimate.value)


def test_verbosity_slope_equals_clustered_regression():
    rng = np.random.default_rng(2)
    families = rng.integers(0, 30, 200)
    extra = rng.normal(50, 300, 200)
    p = np.clip(0.5 + 0.1 * extra / 300 + rng.normal(0, 0.2, 200), 0, 1)
    slope = verbosity_slope(p, np.full(200, 900.0), 900 + extra, families)
    design = sm.add_constant((extra - extra.mean()) / extra.std(ddof=1))
    fit = sm.OLS(p, design).fit(cov_type="cluster", cov_kwds={"groups": families, "use_correction": False})
    assert slope.value == pytest.approx(fit.params[1])
    se = fit.bse[1] * math.sqrt(30 / 29)
    assert slope.half_width == pytest.approx(stats.t.ppf(0.975, 29) * se)
    assert 0.05 < slope.lower < slope.upper < 0.15
    assert math.isnan(verbosity_slope(p, np.full(200, 900.0), np.full(200, 950.0)).value)


def test_orders_must_be_paired():
    with pytest.raises(ValueError, match="pair the orders"):
        position_consistency([1.0], [1.0, 0.0])
