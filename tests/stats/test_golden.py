"""Golden vectors: published numbers that the formulas must reproduce."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from aligner_bench.stats.length_control import GamedRows, lc_win_rate
from aligner_bench.stats.winrate import counts, win_rate


def preferences(wins: int, ties: int, losses: int) -> np.ndarray:
    return np.array([1.0] * wins + [0.5] * ties + [0.0] * losses)


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "paper_tables" / name).open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_omega_of_ji_table_10_with_its_interval(shared_data: Path):
    rows = table(shared_data, "ji_table10_gsb_counts.csv")
    assert len(rows) == 8
    for row in rows:
        p = preferences(*(int(row[k]) for k in ("wins", "draws", "losses")))
        omega = win_rate(p, "omega")
        assert 100 * omega.value == pytest.approx(float(row["computed_omega_percent"]), abs=5e-5)
        assert 100 * omega.value == pytest.approx(float(row["printed_omega_percent"]), abs=0.0505)
        # The table's half width is normal and divides by n; ours is t and divides by n - 1.
        assert 100 * omega.half_width == pytest.approx(float(row["ci95_halfwidth_percent"]), abs=0.03)


@pytest.mark.parametrize(("rank", "expected"), [(0, 0.810719), (1, 0.662609), (2, 0.354198)])
def test_macro_rate_of_ngweta_figure_3(shared_data: Path, rank: int, expected: float):
    rows = table(shared_data, "ngweta_notebook_fig3_categories.csv")
    baseline = list(dict.fromkeys(r["baseline"] for r in rows))[rank]
    p: list[float] = []
    categories: list[str] = []
    for row in rows:
        if row["baseline"] == baseline and row["category_id"] in {"2", "3", "6", "7"}:
            wins, n = map(int, row["possible_wins_over_n(n<=50)"].split(";")[0].split("/"))
            p += [1.0] * wins + [0.0] * (n - wins) + [0.5] * (50 - n)
            categories += [row["category"]] * 50
    macro = win_rate(p, "macro", categories=categories)
    assert macro.value == pytest.approx(expected, abs=2e-6)
    assert macro.n == sum(x != 0.5 for x in p)


@pytest.mark.parametrize(
    ("wins", "ties", "expected"), [(429, 7, 53.7267), (370, 9, 46.5217), (201, 4, 25.2174)]
)
def test_discrete_rate_of_leaderboard_rows(wins: int, ties: int, expected: float):
    p = preferences(wins, ties, 805 - wins - ties)
    assert 100 * win_rate(p, "discrete").value == pytest.approx(expected, abs=5e-5)
    tally = counts(p)
    assert (tally.wins, tally.ties, tally.losses, tally.n) == (wins, ties, 805 - wins - ties, 805)


def test_raw_standard_error_of_the_leaderboard_row(shared_data: Path):
    """AlpacaEval's own standard error is ours before the t quantile."""
    from tests.stats.annotated import preferences_of

    rows = {r[""]: r for r in _leaderboard(shared_data)}
    for model in ("alpaca-7b", "gpt-3.5-turbo-1106"):
        p = preferences_of(shared_data, model).judged
        rate = win_rate(p, "weighted")
        assert 100 * rate.value == pytest.approx(float(rows[model]["win_rate"]), abs=1e-6)
        quantile = 1.9629  # t, 804 degrees of freedom
        assert 100 * rate.half_width / quantile == pytest.approx(
            float(rows[model]["standard_error"]), rel=1e-3
        )


def _leaderboard(folder: Path) -> list[dict[str, str]]:
    path = folder / "alpaca_eval" / "weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("score", [0.0, 0.3, 2.0, 40.0])
def test_scores_that_sum_to_zero_give_mirrored_preferences(score: float):
    """PairRM: a pair's scores sum to 0; equal texts score 0, which is a tie."""
    p, mirrored = (1 / (1 + math.exp(-s)) for s in (score, -score))
    assert win_rate([p], "omega").value == -win_rate([mirrored], "omega").value
    assert (counts([p]).ties == 1) == (score == 0)


def test_reference_against_itself_is_half_in_every_form():
    n = 60
    lengths = np.arange(n) * 13.0 + 40
    gamed = GamedRows(np.linspace(0.2, 0.9, 30), np.linspace(-2, 2, 30), np.linspace(-1, 1, 30))
    for form in ("minimal", "noreg", "length_controlled_v1"):
        lc = lc_win_rate(
            np.full(n, 0.5), lengths, lengths, form, difficulty=np.linspace(-2, 2, n), gamed=gamed
        )
        assert lc.estimate.value == 0.5
        assert lc.estimate.lower < 0.5 < lc.estimate.upper


def test_without_length_differences_theta_has_no_effect():
    """All D are 0: the controlled rate is the fitted mean. C is large, so that is the raw mean."""
    rng = np.random.default_rng(3)
    p, lengths = rng.choice([0.0, 0.5, 1.0], size=400, p=[0.1, 0.2, 0.7]), np.full(400, 700.0)
    lc = lc_win_rate(p, lengths, lengths)
    assert lc.theta == 0
    assert lc.estimate.value == pytest.approx(p.mean(), abs=0.5 / (lc.c * 400 * 0.1))
    shifted = lc_win_rate(p, lengths + 300, lengths)
    assert shifted.theta == 0
    assert shifted.estimate.value == pytest.approx(lc.estimate.value)
