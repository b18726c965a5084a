"""The length-controlled rate: comparison with AlpacaEval's code, invariants, length strata."""

from __future__ import annotations

import itertools
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from aligner_bench.stats.length_control import (
    FORMS,
    GamedRows,
    extreme_change,
    lc_win_rate,
    match_difficulties,
)
from aligner_bench.stats.length_strata import by_length_quantile, length_matched
from tests.stats.annotated import MODELS, preferences_of


@pytest.fixture(scope="module")
def glm():
    """AlpacaEval's module; it warns while it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "alpaca_eval.metrics.glm_winrate", reason="the extra alpaca-eval is not installed"
        )


def frame(p: np.ndarray, std_delta: np.ndarray, difficulty: np.ndarray, ours: bool):
    import pandas as pd

    columns = {"preference": p, "std_delta_len": std_delta, "instruction_difficulty": difficulty}
    return pd.DataFrame({**columns, "not_gamed_baseline": ours})


def theirs(glm, form: str, train, test, weight=None) -> tuple[float, np.ndarray, float]:
    """AlpacaEval's own two functions: rate in points, coefficients, C."""
    test = test.assign(std_delta_len=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        formula = glm.GLM_INFO[form]["formula"]
        design, at = glm.make_dmatrix_for_model(train, test, formula=formula)
        known = design["preference"].notna().to_numpy()
        model = glm.fit_LogisticRegressionCV(
            design[known], "preference", sample_weight=None if weight is None else weight[known], n_splits=5
        )
    return 100 * model.predict_proba(at)[:, 1].mean(), model.coef_[0], float(np.ravel(model.C_)[0])


@pytest.mark.parametrize("model", MODELS)
def test_minimal_equals_alpaca_evals_own_code(glm, shared_data: Path, model: str):
    """Side by side on real annotations; the demand is 0.01 points, the difference about 1e-12."""
    data = preferences_of(shared_data, model)
    delta = data.baseline - data.candidate
    rows = frame(data.p, delta / delta.std(ddof=1), np.zeros(delta.size), ours=True)
    rate, coefficients, c = theirs(glm, "length_controlled_minimal", rows, rows)
    lc = lc_win_rate(data.p, data.baseline, data.candidate, n_boot=50)
    print(f"{model}: AlpacaEval {rate:.6f}, ours {100 * lc.estimate.value:.6f}")
    assert 100 * lc.estimate.value == pytest.approx(rate, abs=0.01)
    assert [lc.theta, lc.mu] == pytest.approx(coefficients, abs=1e-6)
    assert lc.c == pytest.approx(c)


@pytest.mark.parametrize("form", ["noreg", "length_controlled_v1"])
def test_forms_with_difficulties_equal_alpaca_evals_own_code(glm, shared_data: Path, form: str):
    """Real verdicts; difficulties and gamed rows are made up, since the published ones need the hub."""
    rng = np.random.default_rng(4)
    data = preferences_of(shared_data, "phi-2")
    delta = data.baseline - data.candidate
    difficulty = rng.normal(0, 1.5, delta.size)
    gamed = GamedRows(rng.beta(2, 2, 300), rng.normal(0, 1, 300), rng.normal(0, 1.5, 300))
    rows = frame(data.p, delta / delta.std(ddof=1), difficulty, ours=True)
    train, weight = rows, None
    if form == "length_controlled_v1":
        import pandas as pd

        train = pd.concat([frame(gamed.preference, gamed.std_delta, gamed.difficulty, ours=False), rows])
        train = train.reset_index(drop=True)
        weight = np.where(train["not_gamed_baseline"], 1.0, 0.1)
    name = form if form in glm.GLM_INFO else f"length_controlled_{form}"
    rate, coefficients, c = theirs(glm, name, train, rows, weight)
    lc = lc_win_rate(
        data.p, data.baseline, data.candidate, form, difficulty=difficulty, gamed=gamed, n_boot=50
    )
    assert 100 * lc.estimate.value == pytest.approx(rate, abs=0.01)
    assert [lc.theta, lc.psi, lc.mu] == pytest.approx(coefficients, abs=1e-6)
    assert lc.c == pytest.approx(c)
    assert lc.label == FORMS[form]


def simulated(seed: int, n: int = 300, theta: float = -1.0, mu: float = 0.5):
    """Preferences that depend on length, and both lengths."""
    rng = np.random.default_rng(seed)
    gap = rng.normal(100, 400, n).round()
    q = 1 / (1 + np.exp(-(theta * np.tanh(gap / 400) + mu)))
    return np.where(rng.random(n) < 0.1, 0.5, rng.random(n) < q).astype(float), np.full(n, 2000.0), 2000 - gap


def test_control_removes_what_length_adds():
    """The judge prefers long answers and the candidate's are short, so control raises its rate."""
    p, base, ours = simulated(0, 4000)
    lc = lc_win_rate(p, base, ours, n_boot=300)
    assert lc.theta < -0.6
    assert lc.estimate.value > lc.raw + 0.02
    assert lc.estimate.lower < 0.1 * 0.5 + 0.9 / (1 + math.exp(-0.5)) < lc.estimate.upper
    assert lc.label == "LC (minimal)"
    assert lc.fitted_sem == 0.0


def test_swapping_the_sides_mirrors_rate_and_interval():
    p, base, ours = simulated(1)
    here = lc_win_rate(p, base, ours, n_boot=400)
    there = lc_win_rate(1 - p, ours, base, n_boot=400)
    assert there.estimate.value == pytest.approx(1 - here.estimate.value, abs=2e-4)
    assert there.estimate.lower == pytest.approx(1 - here.estimate.upper, abs=1e-3)


def test_order_keys_make_the_rate_independent_of_row_order():
    p, base, ours = simulated(2)
    names = [f"prompt-{i:03d}" for i in range(p.size)]
    shuffle = np.random.default_rng(0).permutation(p.size)
    first = lc_win_rate(p, base, ours, order=names, n_boot=100)
    again = lc_win_rate(
        p[shuffle], base[shuffle], ours[shuffle], order=[names[i] for i in shuffle], n_boot=100
    )
    assert again.c == first.c
    assert again.estimate.value == pytest.approx(first.estimate.value, abs=1e-9)


def test_families_widen_the_interval_and_duplicates_do_not_narrow_it():
    p, base, ours = simulated(3, 150)
    once = lc_win_rate(p, base, ours, n_boot=600).estimate
    families = np.repeat(np.arange(150), 3)
    p3, base3, ours3 = (np.repeat(x, 3) for x in (p, base, ours))
    aware = lc_win_rate(p3, base3, ours3, clusters=families, n_boot=600).estimate
    blind = lc_win_rate(p3, base3, ours3, n_boot=600).estimate
    assert aware.half_width == pytest.approx(once.half_width, rel=0.1)
    assert blind.half_width < 0.75 * aware.half_width


def test_interval_is_wider_than_alpaca_evals_standard_error(shared_data: Path):
    """If control changes the rate by 28 points, the interval is wide and AlpacaEval warns."""
    data = preferences_of(shared_data, "gpt-3.5-turbo-1106")
    lc = lc_win_rate(data.p, data.baseline, data.candidate, n_boot=300)
    assert lc.extreme
    assert lc.estimate.half_width > 0.05
    assert not lc_win_rate(
        *(getattr(preferences_of(shared_data, "phi-2"), k) for k in ("p", "baseline", "candidate")), n_boot=50
    ).extreme


def test_penalty_of_refits_has_a_small_effect_on_805_rows(shared_data: Path):
    data = preferences_of(shared_data, "phi-2")
    ends = {}
    for kind in ("free", "kept"):
        estimate = lc_win_rate(data.p, data.baseline, data.candidate, refits=kind, n_boot=400).estimate
        ends[kind] = (estimate.lower, estimate.upper)
    assert ends["free"] == pytest.approx(ends["kept"], abs=0.005)
    p, base, ours = simulated(5, 60)
    rechosen = lc_win_rate(p, base, ours, refits="rechosen", n_boot=20).estimate
    assert rechosen.lower < rechosen.value < rechosen.upper


def test_rows_without_a_verdict_count_for_lengths_only():
    p, base, ours = simulated(6)
    gone = np.arange(p.size) % 10 == 0
    lc = lc_win_rate(np.where(gone, np.nan, p), base, ours, n_boot=50)
    assert lc.estimate.n == int((~gone).sum())
    assert lc.raw == pytest.approx(p[~gone].mean())


def test_errors_and_too_few_rows():
    p, base, ours = simulated(7, 20)
    with pytest.raises(ValueError, match="expected one of length_controlled_v1"):
        lc_win_rate(p, base, ours, "v2")
    with pytest.raises(ValueError, match="difficulty of each of the 20 rows"):
        lc_win_rate(p, base, ours, "noreg")
    with pytest.raises(ValueError, match="gamed rows"):
        lc_win_rate(p, base, ours, "length_controlled_v1", difficulty=np.zeros(20))
    with pytest.raises(ValueError, match="20 rows and the lengths 19"):
        lc_win_rate(p, base[:19], ours[:19])
    with pytest.raises(ValueError, match="unknown refits"):
        lc_win_rate(p, base, ours, refits="none")
    assert math.isnan(lc_win_rate(p[:4], base[:4], ours[:4]).estimate.value)
    assert lc_win_rate(p, base, ours, clusters=["one"] * 20, n_boot=50).estimate.upper == 1.0


def test_the_reference_itself_is_one_half_without_a_fit():
    found = lc_win_rate([0.5] * 40, [100.0] * 40, [100.0] * 40, n_boot=20).estimate
    assert (found.value, found.method) == (0.5, "t")
    assert found.lower < 0.5 < found.upper


def test_the_rate_is_that_at_equal_length():
    """The logistic function of the candidate's own weight, without the length's."""
    lc = lc_win_rate(*simulated(9, 800), n_boot=20)
    assert lc.theta < -0.3
    assert lc.estimate.value == pytest.approx(1 / (1 + math.exp(-lc.mu)))


@pytest.mark.parametrize(
    ("raw", "controlled", "warns"),
    [(0.5, 0.63, True), (0.5, 0.62, False), (0.5, 0.37, True), (0.5, 0.39, False), (0.2, 0.09, True),
     (0.2, 0.11, False), (0.9, 1.0, False)],
)  # fmt: skip
def test_extreme_change_has_thresholds_by_hand(raw, controlled, warns):
    assert extreme_change(raw, controlled) is warns


def test_difficulties_are_matched_by_text_never_by_row():
    known = {"first": 0.5, "second": -1.0}
    assert match_difficulties(["second", "first"], known).tolist() == [-1.0, 0.5]
    assert match_difficulties(["second", "third"], known) is None


@pytest.mark.parametrize(
    ("raw", "controlled", "warns"),
    [(0.5, 0.63, True), (0.5, 0.62, False), (0.5, 0.37, True), (0.2, 0.09, True), (0.2, 0.11, False)],
)
def test_extreme_change_has_alpaca_evals_thresholds(glm, raw: float, controlled: float, warns: bool):
    assert extreme_change(raw, controlled) is warns
    assert bool(glm.get_is_extreme_changes(100 * raw, 100 * controlled)) is warns


def test_length_matched_pairs_and_quintiles():
    p, base, ours = simulated(8, 2000)
    matched = length_matched(p, base, ours)
    near = np.abs(ours - base) <= 0.1 * np.maximum(ours, base)
    assert matched.value == pytest.approx(p[near].mean())
    assert matched.n == int(near.sum())
    assert math.isnan(length_matched(p, base, base * 3).value)
    quintiles = by_length_quantile(p, base, ours)
    assert [bin_.estimate.n for bin_ in quintiles] == pytest.approx([400] * 5, abs=5)
    assert sum(bin_.estimate.n for bin_ in quintiles) == 2000
    assert quintiles[0].estimate.value < quintiles[-1].estimate.value - 0.2
    assert all(a.upper == b.lower for a, b in itertools.pairwise(quintiles))
    flat = by_length_quantile([1.0, 0.0, 1.0], [5.0] * 3, [9.0] * 3)
    assert sum(bin_.estimate.n for bin_ in flat) == 3
    assert by_length_quantile([], [], []) == []
