"""Compare the batched solver with liblinear, at its default tolerance and at the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from aligner_bench.stats.lc_solver import fit_l1_logistic

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")


def problem(seed: int, n: int, p: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Features (the last a constant), fractional labels with ties and certain rows, weights with zeros."""
    rng = np.random.default_rng(seed)
    features = [np.tanh(rng.normal(size=n)), *rng.normal(size=(p - 2, n)), np.ones(n)]
    chance = 1 / (1 + np.exp(-(0.8 * features[0] - 0.5)))
    y = np.where(rng.random(n) < 0.3, rng.choice([0.0, 0.5, 1.0], n), chance)
    return features, y, rng.multinomial(n, np.full(n, 1 / n)).astype(float)


def liblinear(features, y, weights, c: float, tol: float) -> np.ndarray:
    x = np.column_stack(features)
    model = linear_model.LogisticRegression(
        C=c, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=123, tol=tol, max_iter=5000
    )
    labels = np.repeat([1, 0], y.size)
    model.fit(np.vstack([x, x]), labels, sample_weight=np.concatenate([weights * y, weights * (1 - y)]))
    return model.coef_[0]


@pytest.mark.parametrize("p", [2, 3])
@pytest.mark.parametrize("c", [1e-4, 0.006, 0.05, 0.36, 2.8, 167.0, 1e4])
def test_stops_exactly_where_liblinear_stops(p: int, c: float):
    for seed in range(4):
        features, y, weights = problem(seed, 150 + 100 * seed, p)
        ours = fit_l1_logistic(features, y, c * weights[None])[0]
        assert ours == pytest.approx(liblinear(features, y, weights, c, 1e-4), abs=1e-8)


@pytest.mark.parametrize("c", [0.05, 2.8, 1e4])
def test_a_small_tolerance_gives_the_optimum(c: float):
    features, y, weights = problem(7, 300, 3)
    x = np.column_stack(features)

    def objective(split: np.ndarray) -> float:
        w = split[:3] - split[3:]
        z = x @ w
        return split.sum() + c * float(weights @ (np.logaddexp(0, z) - y * z))

    best = minimize(objective, np.zeros(6), bounds=[(0, None)] * 6, method="L-BFGS-B", tol=1e-14)
    ours = fit_l1_logistic(features, y, c * weights[None], tolerance=1e-10)[0]
    at = np.concatenate([np.maximum(ours, 0), np.maximum(-ours, 0)])
    assert objective(at) <= best.fun + 1e-9 * abs(best.fun)
    assert ours == pytest.approx(best.x[:3] - best.x[3:], abs=2e-3)


def test_a_batch_is_its_members_one_by_one():
    """Replicates with separate features, in more than one chunk."""
    rng = np.random.default_rng(0)
    y, constant = rng.random(900), np.array(1.0)
    length, counts = rng.normal(size=(90, 900)), rng.integers(0, 3, (90, 900)).astype(float)
    together = fit_l1_logistic([length, constant], y, 2.0 * counts)
    for b in (0, 41, 89):
        alone = fit_l1_logistic([length[b], np.ones(900)], y, 2.0 * counts[b : b + 1])
        assert together[b] == pytest.approx(alone[0], abs=1e-9)


def test_extreme_data_stay_finite():
    """Only wins, a feature of zeros, no rows drawn: the penalty keeps all of it finite."""
    zero, constant = np.zeros(40), np.ones(40)
    w = fit_l1_logistic([zero, constant], np.ones(40), np.full((1, 40), 1e4))[0]
    assert w[0] == 0
    assert 5 < w[1] < 20
    assert fit_l1_logistic([zero, constant], np.ones(40), np.zeros((1, 40)))[0].tolist() == [0, 0]
    assert fit_l1_logistic([zero, constant], np.ones(40), np.zeros((0, 40))).shape == (0, 2)
