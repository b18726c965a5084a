"""A small, seeded form of benchmarks/coverage: intervals have their nominal coverage."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts import load_script

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("coverage")


def test_the_simulated_verdicts_have_the_mean_they_claim(script: ModuleType):
    """Check the true mean assumed by the simulation."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = script.families(rng, 200_000)
    for q in (0.05, 0.6, 0.95):
        p = script.verdicts(script.shared_normal(rng, labels), q)
        assert p.mean() == pytest.approx(q, abs=0.006)
    assert set(script.verdicts(rng.standard_normal(1000), 0.6).tolist()) == {0.0, 0.5, 1.0}


def test_intervals_for_families_cover_and_naive_ones_do_not(script: ModuleType):
    """400 experiments: a true 95 % falls below 92 % or above 98 % once in hundreds of tries."""
    script.BOOT = 500
    for n in (50, 200):
        for (quantity, interval), (share, _) in script.coverage(script.one_experiment, n, 400).items():
            if interval == "naive":
                assert share < 0.91, (n, quantity)
            else:
                assert 0.91 <= share <= 0.985, (n, quantity, interval)


def test_binomial_intervals_cover(script: ModuleType):
    for n in (50, 800):
        for (quantity, interval), (share, _) in script.coverage(script.one_share_experiment, n, 1000).items():
            least = 0.94 if interval == "Clopper-Pearson" else 0.92
            assert least <= share <= 0.995, (n, quantity, interval)


@pytest.mark.slow
def test_length_controlled_intervals_cover(script: ModuleType):
    script.BOOT = 400
    results = script.coverage(script.one_length_experiment, 200, 300)
    assert 0.91 <= results["LC (minimal)", "BCa"][0] <= 0.985
    assert results["LC (minimal)", "naive"][0] < 0.91
