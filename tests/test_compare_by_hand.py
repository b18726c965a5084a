"""``compare`` over small runs written down by hand, against the tests that it rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from aligner_bench.compare.compare import compare
from aligner_bench.core.errors import UsageError
from aligner_bench.stats.hypothesis_tests import paired_difference, sign_flip_permutation
from tests.correctors.handmade import make_run
from tests.graded import prompts, responses, verdicts

N = 28
OLD = [i < 14 for i in range(N)]
SIX_MORE = [i < 20 for i in range(N)]
"""Six gained, none lost: McNemar's p is 1/32, below 5 % by itself and above it as one of two."""


def run(folder, families=None, categories=None, preferences=None, same_upstream=True, judge=None, **systems):
    answers = responses("base", OLD) if same_upstream else []
    for name, hits in systems.items():
        answers += responses(name, hits, OLD)
    made = verdicts(preferences) if preferences else ()
    return make_run(folder, prompts(N, families, categories), answers, made, **(judge or {}))


def rows(found):
    return {(row.metric, row.system): row for row in found.rows}


def test_the_difference_is_b_minus_a_over_the_same_prompts(tmp_path):
    new = [hit and i not in (3, 4) for i, hit in enumerate(SIX_MORE)]
    found = rows(compare(run(tmp_path / "a", new=OLD), run(tmp_path / "b", new=new), metrics=["accuracy"]))
    row = found["accuracy", "new"]
    d = np.array(new, float) - np.array(OLD, float)
    assert (row.before, row.after) == (0.5, pytest.approx(18 / 28))
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert row.difference.value == pytest.approx(4 / 28)
    assert (row.difference.lower, row.difference.upper) == pytest.approx((low, high))
    assert row.p_value == pytest.approx(stats.binomtest(6, 8).pvalue)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert row.mde == pytest.approx(z * d.std(ddof=1) / math.sqrt(N))
    assert row.conclusion == "no_difference_found"


def test_holm_takes_what_was_asked_together_and_nothing_else(tmp_path):
    a = run(tmp_path / "a", new=OLD, other=OLD)
    one, two = run(tmp_path / "b", new=SIX_MORE, other=OLD), run(tmp_path / "c", new=SIX_MORE, other=SIX_MORE)
    alone = rows(compare(a, one, metrics=["accuracy"]))
    assert alone["accuracy", "new"].p_value == pytest.approx(1 / 32)
    assert alone["accuracy", "new"].p_adjusted == pytest.approx(1 / 32), "equal answers ask nothing"
    assert alone["accuracy", "new"].conclusion == "better"
    assert alone["accuracy", "other"].conclusion == alone["accuracy", "base"].conclusion == "same_answers"
    both = rows(compare(a, two, metrics=["accuracy"]))
    for name in ("new", "other"):
        assert both["accuracy", name].p_value == pytest.approx(1 / 32)
        assert both["accuracy", name].p_adjusted == pytest.approx(1 / 16)
        assert both["accuracy", name].conclusion == "no_difference_found"
    each = rows(compare(a, two, metrics=["accuracy"], family="each"))
    assert each["accuracy", "new"].p_adjusted == pytest.approx(1 / 32)
    assert each["accuracy", "new"].conclusion == "better"
    back = rows(compare(two, a, metrics=["accuracy"], family="each"))
    assert back["accuracy", "new"].conclusion == "worse"


def test_fewer_damaged_answers_are_better(tmp_path):
    damaged = [hit and i >= 8 for i, hit in enumerate(OLD)]
    a, b = run(tmp_path / "a", new=damaged), run(tmp_path / "b", new=OLD)
    better = rows(compare(a, b, metrics=["damage"]))["damage", "new"]
    worse = rows(compare(b, a, metrics=["damage"]))["damage", "new"]
    assert (better.before, better.after, better.conclusion) == (pytest.approx(8 / 14), 0.0, "better")
    assert worse.conclusion == "worse"
    assert better.difference.n == 14


def test_prompts_with_a_value_in_one_run_only_are_counted(tmp_path):
    graded = [0.5] * N
    gone = [None, None, None, *graded[3:]]
    found = compare(
        run(tmp_path / "a", new=SIX_MORE, preferences=graded),
        run(tmp_path / "b", new=OLD, preferences=gone),
        metrics=["win_rate"],
    )
    [row] = found.rows
    assert (row.difference.n, row.n_unpaired) == (N - 3, 3)


def test_families_are_the_clusters_and_flip_together(tmp_path):
    families = [f"f{i // 4}" for i in range(N)]
    a, b = (run(tmp_path / name, families=families, new=hits) for name, hits in (("a", OLD), ("b", SIX_MORE)))
    row = rows(compare(a, b, metrics=["accuracy"]))["accuracy", "new"]
    after, before = np.array(SIX_MORE, float), np.array(OLD, float)
    expected = paired_difference(after, before, families)
    assert (row.difference.lower, row.difference.upper) == pytest.approx((expected.lower, expected.upper))
    assert row.difference.method == "cluster t"
    assert row.p_value == pytest.approx(sign_flip_permutation(after - before, families)) == 0.5


def test_graded_preferences_are_flipped_and_not_counted(tmp_path):
    before = [0.5] * N
    after = [0.9] * 6 + [0.3] * 6 + [0.5] * 16
    a = run(tmp_path / "a", new=OLD, preferences=before)
    b = run(tmp_path / "b", new=SIX_MORE, preferences=after)
    row = rows(compare(a, b, metrics=["win_rate"]))["win_rate", "new"]
    d = np.array(after) - np.array(before)
    assert row.p_value == pytest.approx(sign_flip_permutation(d))
    assert row.p_value < 0.5 < stats.binomtest(6, 12).pvalue


@pytest.mark.parametrize("weak", ["a", "b"])
def test_a_judge_without_power_in_either_run_says_nothing(weak, tmp_path):
    a, b = (
        run(
            tmp_path / name, new=hits, preferences=[float(i % 2) if name == "a" else 1.0 for i in range(N)],
            judge={"needs_audit": name == weak},
        )
        for name, hits in (("a", OLD), ("b", SIX_MORE))
    )  # fmt: skip
    row = rows(compare(a, b, metrics=["win_rate"]))["win_rate", "new"]
    assert row.p_value < 0.001
    assert row.conclusion == "no_power"


def test_another_judge_and_other_prompts_are_not_compared(tmp_path):
    graded = [0.5] * N
    a = run(tmp_path / "a", new=OLD, preferences=graded)
    b = run(tmp_path / "b", new=SIX_MORE, preferences=graded, judge={"identity": "2" * 64})
    found = compare(a, b)
    assert {row.metric for row in found.rows} == {"accuracy"}
    assert "judge 'facts' is" in found.refused[0]
    other = make_run(tmp_path / "c", prompts(N - 1), responses("new", OLD[:-1], OLD[:-1]))
    with pytest.raises(UsageError, match="suite 's' has"):
        compare(a, other)


def test_flips_are_what_crossed_the_middle_largest_first(tmp_path):
    before = [0.4, 0.6, 0.5, 0.9, 0.1] + [0.5] * (N - 5)
    after = [0.45, 0.2, 0.6, 0.8, 1.0] + [0.5] * (N - 5)
    a = run(tmp_path / "a", new=OLD, preferences=before)
    b = run(tmp_path / "b", new=OLD, preferences=after)
    found = compare(a, b, metrics=["win_rate"])
    assert [(flip.prompt_id, flip.before, flip.after) for flip in found.flips] == [
        ("p004", 0.1, 1.0),
        ("p001", 0.6, 0.2),
        ("p002", 0.5, 0.6),
    ]


def test_categories_are_explored_by_benjamini_and_hochberg(tmp_path):
    categories = ["x" if i % 4 < 3 else "y" for i in range(N)]
    new = [hit or i % 4 < 3 for i, hit in enumerate(OLD)]
    a, b = (run(tmp_path / name, categories=categories, new=hits) for name, hits in (("a", OLD), ("b", new)))
    found = {
        row.category: row for row in compare(a, b, metrics=["accuracy"]).categories if row.system == "new"
    }
    assert found["x"].p_value == pytest.approx(2 / 2**10)
    assert found["x"].p_adjusted == pytest.approx(2 * found["x"].p_value)
    assert (found["x"].conclusion, found["y"].conclusion) == ("better", "no_difference_found")
    assert found["x"].adjustment == "benjamini-hochberg"
