"""Power and the gate: the published table, the contract, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import NormalIndPower

from aligner_bench.stats.estimate import Estimate
from aligner_bench.stats.hypothesis_tests import paired_difference
from aligner_bench.stats.power import mde, n_for_assurance, noninferiority, noninferiority_n, required_n


@pytest.mark.parametrize(
    ("n", "expected"),
    [(200, (9.9, 7.9, 6.9)), (500, (6.3, 5.0, 4.4)), (805, (4.9, 3.9, 3.5)), (2000, (3.1, 2.5, 2.2))],
)
def test_detectable_effects_of_the_reference_table(n, expected):
    assert [round(100 * mde(n, sd), 1) for sd in (0.5, 0.4, 0.35)] == pytest.approx(expected, abs=0.051)


@given(st.floats(0.01, 0.5), st.floats(0.05, 1), st.sampled_from([0.7, 0.8, 0.95]))
def test_required_n_inverts_the_detectable_effect(effect, sd, power):
    n = required_n(effect, sd, power=power)
    assert mde(n, sd, power=power) <= effect or n == 2
    assert n <= 2 or mde(n - 1, sd, power=power) > effect


def test_required_n_equals_statsmodels():
    theirs = NormalIndPower(ddof=0).solve_power(0.03 / 0.5, alpha=0.05, power=0.8, ratio=0)
    assert required_n(0.03, 0.5) == math.ceil(theirs) == 2181
    assert required_n(-0.03, 0.5) == 2181
    with pytest.raises(ValueError, match="effect of zero"):
        required_n(0, 0.5)
    assert mde(0, 0.5) == math.inf


def test_gate_has_three_outcomes_and_gives_its_bounds():
    """Contract 11, with t bounds."""
    half = stats.t.ppf(0.95, 99) * 0.01
    for mean, outcome in ((0.0, "pass"), (-0.1, "fail"), (-0.03, "inconclusive")):
        decision = noninferiority((mean, 0.01, 99), 0.03, n=100)
        assert decision.outcome == outcome
        assert [decision.lower, decision.upper] == pytest.approx([mean - half, mean + half])
        assert (decision.n_to_decide is None) == (outcome != "inconclusive")


def test_gate_edges_belong_to_pass():
    assert noninferiority(Estimate(0.0, -0.03, 0.03, 50, "t", 0.9), 0.03).outcome == "pass"
    assert noninferiority(Estimate(-0.05, -0.07, -0.03, 50, "t", 0.9), 0.03).outcome == "inconclusive"


def test_gate_takes_estimates_of_any_level():
    rng = np.random.default_rng(0)
    a, b = rng.choice([0.0, 0.5, 1.0], 400), rng.choice([0.0, 0.5, 1.0], 400)
    exact = noninferiority(paired_difference(a, b, level=0.9), 0.03)
    rescaled = noninferiority(paired_difference(a, b, level=0.95), 0.03)
    assert rescaled.lower == pytest.approx(exact.lower, abs=2e-4)
    assert rescaled.lower <= exact.lower, "rescaling errs on the safe side"
    t = stats.ttest_rel(a, b).confidence_interval(0.9)
    assert [exact.lower, exact.upper] == pytest.approx([t.low, t.high])


def test_gate_without_a_spread_does_not_decide():
    decision = noninferiority(paired_difference([1.0], [1.0], level=0.9), 0.03)
    assert decision.outcome == "inconclusive"
    decision = noninferiority(Estimate(math.nan, math.nan, math.nan, 0, "t", 0.9), 0.03)
    assert (decision.outcome, decision.n_to_decide) == ("inconclusive", None)
    with pytest.raises(ValueError, match="margin must be positive"):
        noninferiority((0.0, 0.1, 9), 0.0)


def test_identity_passes_only_with_enough_prompts():
    """An identity corrector ties everywhere: 50 ties cannot exclude a 3-point drop, 805 can."""
    few, many = (noninferiority(paired_difference([0.5] * n, [0.5] * n, level=0.9), 0.03) for n in (50, 805))
    assert few.outcome == "inconclusive"
    assert few.n_to_decide is not None
    assert many.outcome == "pass"


def test_planned_n_is_symmetric_and_refuses_the_undecidable():
    assert noninferiority_n(0.03, 0.4) == noninferiority_n(0.03, 0.4, true_drop=0.06) == 1523
    assert noninferiority_n(0.03, 0.4, power=0.8) == pytest.approx(1100, abs=5)
    with pytest.raises(ValueError, match="cannot be decided"):
        noninferiority_n(0.03, 0.4, true_drop=0.03)


@pytest.mark.parametrize("distance", [0.0, 0.4, -1.0, 1.6])
def test_the_named_n_has_its_assurance_by_simulation(distance):
    """Draw the true difference given the first sample, then a new sample of the stated size."""
    n = 400
    size = n_for_assurance(n, distance, 0.8)
    rng = np.random.default_rng(1)
    truth = distance + rng.standard_normal(200_000)
    seen = truth * math.sqrt(size / n) + rng.standard_normal(200_000)
    assert np.mean(np.abs(seen) > stats.norm.ppf(0.95)) == pytest.approx(0.8, abs=0.005)


def test_planned_power_holds_in_simulation():
    """A small form of benchmarks/gate_power."""
    rng = np.random.default_rng(2)
    values, margin = np.array([-0.5, 0.0, 0.5]), 0.04
    shares = {}
    for drop in (0.0, margin, 2 * margin):
        chances = np.array([0.25 + drop, 0.5, 0.25 - drop])
        sd = math.sqrt(0.125)
        n = noninferiority_n(margin, sd)
        outcomes = []
        for count in rng.multinomial(n, chances, size=800):
            mean = float(count @ values) / n
            var = float(count @ (values - mean) ** 2) / (n - 1)
            outcomes.append(noninferiority((mean, math.sqrt(var / n), n - 1), margin, n).outcome)
        shares[drop] = {o: outcomes.count(o) / 800 for o in ("pass", "fail", "inconclusive")}
    assert shares[0.0]["pass"] > 0.85
    assert shares[2 * margin]["fail"] > 0.85
    assert shares[margin]["fail"] < 0.08
    assert shares[margin]["pass"] < 0.08
