"""What the gate and ``compare`` rest on: one-sided p values, unpaired differences, observations a prompt."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from aligner_bench.results.series import Key, observations, questions
from aligner_bench.stats.estimate import Estimate
from aligner_bench.stats.hypothesis_tests import drop_p, independent_difference, paired_difference
from aligner_bench.stats.power import noninferiority

RNG = np.random.default_rng(8)


def test_drop_p_is_the_one_sided_t_test():
    d = RNG.normal(-0.05, 0.4, 200)
    expected = stats.ttest_1samp(d, -0.03, alternative="less").pvalue
    assert drop_p(d, 0.03) == pytest.approx(expected)


@pytest.mark.parametrize("mean", [-0.3, -0.12, -0.05, 0.0, 0.1])
def test_drop_p_and_the_gates_upper_bound_agree(mean):
    d = RNG.normal(mean, 0.4, 120)
    families = [i // 3 for i in range(120)]
    gate = noninferiority(paired_difference(d, np.zeros(120), families, level=0.90), 0.03)
    assert (drop_p(d, 0.03, families) < 0.05) == (gate.outcome == "fail")


def test_drop_p_without_spread_or_families():
    assert drop_p([-0.5] * 10, 0.03) == 0.0
    assert drop_p([0.0] * 10, 0.03) == 1.0
    assert drop_p([-0.5, -0.4], 0.03, ["a", "a"]) == 1.0


def test_independent_difference_of_symmetric_intervals_adds_squares():
    a, b = Estimate(0.6, 0.5, 0.7, 100, "t"), Estimate(0.5, 0.4, 0.6, 80, "t")
    found = independent_difference(a, b)
    assert (found.value, found.n) == (pytest.approx(0.1), 80)
    assert found.half_width == pytest.approx(math.hypot(0.1, 0.1))
    with pytest.raises(ValueError, match="different levels"):
        independent_difference(a, Estimate(0.5, 0.4, 0.6, 80, "t", 0.9))


def test_independent_difference_takes_the_near_sides_of_skewed_intervals():
    """The lower end needs a's lower side and b's upper one (Zou and Donner 2008)."""
    found = independent_difference(Estimate(0.6, 0.3, 0.7, 9, "t"), Estimate(0.5, 0.48, 0.9, 9, "t"))
    assert found.lower == pytest.approx(0.1 - math.hypot(0.3, 0.4))
    assert found.upper == pytest.approx(0.1 + math.hypot(0.1, 0.02))


def test_independent_difference_covers():
    """The difference of two independent means lies within in about 95 of 100 cases."""
    hits = 0
    for _ in range(400):
        parts = []
        for mean in (0.3, 0.1):
            x = RNG.normal(mean, 0.5, 50)
            half = float(stats.t.ppf(0.975, 49) * x.std(ddof=1) / 50**0.5)
            parts.append(Estimate(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, 50, "t"))
        found = independent_difference(*parts)
        hits += found.lower <= 0.2 <= found.upper
    assert 0.92 <= hits / 400 <= 0.985


def verdict(prompt_id, order, preference, detail=""):
    place = {"suite": "s", "judge": "j", "candidate": "new", "baseline": "base"}
    return {**place, "prompt_id": prompt_id, "order": order, "status": "ok", "preference": preference,
            "detail": detail}  # fmt: skip


def answer(prompt_id, **given):
    row = {"suite": "s", "system": "new", "text": "x", "status": "ok", "correct": None, "upstream": None}
    return {**row, "upstream_correct": None, "prompt_id": prompt_id, **given}


TABLES = {
    "prompts": [
        {"suite": "s", "prompt_id": "p1", "family": None, "category": "a"},
        {"suite": "s", "prompt_id": "p2", "family": "f", "category": "b"},
    ],
    "verdicts": [
        verdict("p1", "candidate_first", 1.0),
        verdict("p1", "baseline_first", 0.0),
        verdict("p2", "candidate_first", 0.9),
        verdict("p2", "baseline_first", 0.8),
        verdict("p3", "candidate_first", None),
        verdict("p3", "baseline_first", 0.8),
        verdict("p4", "candidate_first", 0.5, "identical texts"),
        verdict("p4", "baseline_first", 0.5, "identical texts"),
    ],
    "responses": [
        answer("p1", correct=True, upstream="u", upstream_correct=False),
        answer("p2", correct=False, upstream="u", upstream_correct=True),
        answer("p3", status="error", upstream="u", upstream_correct=True),
        answer("p4", text="I'm sorry, but I can't help with that.", correct=False),
    ],
}


def test_observations_worked_out_by_hand():
    found = {series.key: series.values for series in observations(TABLES)}

    def of(metric, judge="", baseline=""):
        return found[Key(metric, "s", judge, "new", baseline)]

    assert of("win_rate", "j", "base") == pytest.approx({"p1": 0.5, "p2": 0.85, "p4": 0.5})
    assert of("discrete", "j", "base") == {"p1": 0.5, "p2": 1.0, "p4": 0.5}
    assert of("consistency", "j", "base") == {"p1": 0.0, "p2": 1.0}  # nobody was asked about p4
    assert of("verdict_failures", "j", "base") == {"p1": 0.0, "p2": 0.0, "p3": 1.0, "p4": 0.0}
    assert of("accuracy") == {"p1": 1.0, "p2": 0.0, "p3": 0.0, "p4": 0.0}
    assert of("repair") == {"p1": 1.0}
    assert of("damage") == {"p2": 1.0, "p3": 1.0}
    assert of("answer_failures") == {"p1": 0.0, "p2": 0.0, "p3": 1.0, "p4": 0.0}
    assert of("refusals") == {"p1": 0.0, "p2": 0.0, "p4": 1.0}
    assert questions(TABLES)["s"] == {"p1": ("p1", "a"), "p2": ("f", "b")}


def test_one_order_says_nothing_of_consistency():
    one = {**TABLES, "verdicts": [row for row in TABLES["verdicts"] if row["order"] == "candidate_first"]}
    assert "consistency" not in {series.key.metric for series in observations(one)}


def test_an_empty_answer_failed_and_is_no_refusal():
    rows = [answer("p1", status="empty", text=""), answer("p2")]
    found = {series.key.metric: series.values for series in observations({**TABLES, "responses": rows})}
    assert found["answer_failures"] == {"p1": 1.0, "p2": 0.0}
    assert found["refusals"] == {"p2": 0.0}
