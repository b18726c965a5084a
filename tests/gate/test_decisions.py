"""The gate's decisions over small runs written down by hand, against the tests that they rest on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from aligner_bench.core.errors import UsageError
from aligner_bench.gate.baseline import BaselineEstimate, make_baseline, read_baseline, write_baseline
from aligner_bench.gate.checks import checks_of
from aligner_bench.gate.decide import decide
from aligner_bench.gate.policy import Policy, Rule
from aligner_bench.results.number import Number
from aligner_bench.results.series import Key
from aligner_bench.stats.hypothesis_tests import paired_difference
from tests.correctors.handmade import make_run
from tests.graded import graded_run, prompts, responses, verdicts

N = 60
OLD = [i % 2 == 0 for i in range(N)]
"""Half of 60 prompts right: the even ones."""
SAME = OLD
WORSE = [hit and i >= 40 for i, hit in enumerate(OLD)]
NOISY = [(hit and i >= 16) or (not hit and i < 12) for i, hit in enumerate(OLD)]
"""Eight lost and six gained."""
ACCURACY = Policy(margin=10, rules=(Rule(metrics=("accuracy",)),))


def decided(folder, old, new, policy=ACCURACY, margin=None, **given):
    pair = [graded_run(folder / name, hits, **given) for name, hits in (("old", old), ("new", new))]
    return decide(pair[1], make_baseline(pair[0]), policy, margin)


@pytest.mark.parametrize(
    ("hits", "outcome", "code"), [(SAME, "pass", 0), (WORSE, "fail", 1), (NOISY, "inconclusive", 3)]
)
def test_outcome_bounds_and_exit_code(hits, outcome, code, tmp_path, command):
    report = decided(tmp_path, OLD, hits)
    [check] = report.checks
    d = np.array(hits, float) - np.array(OLD, float)
    assert (report.outcome, report.exit_code, check.outcome) == (outcome, code, outcome)
    assert check.gain.value == pytest.approx(d.mean())
    if d.any():
        low, high = stats.ttest_1samp(d, 0).confidence_interval(0.90)
        assert (check.gain.lower, check.gain.upper) == pytest.approx((low, high))
        assert check.p_fail == pytest.approx(stats.ttest_1samp(d, -0.10, alternative="less").pvalue)
    write_baseline(make_baseline(graded_run(tmp_path / "again", OLD)), tmp_path / "old.json")
    done = command("gate", tmp_path / "new", "--baseline", tmp_path / "old.json", "--margin", "10")
    assert done.returncode == code


def test_a_gain_never_fails(tmp_path):
    assert decided(tmp_path, WORSE, OLD).outcome == "pass"


def test_families_are_the_clusters(tmp_path):
    families = [f"f{i // 10}" for i in range(N)]
    [check] = decided(tmp_path, OLD, NOISY, families=families).checks
    expected = paired_difference(np.array(NOISY, float), np.array(OLD, float), families, level=0.90)
    assert check.gain.method == "cluster t"
    assert (check.gain.lower, check.gain.upper) == pytest.approx((expected.lower, expected.upper))


def test_the_margin_of_the_call_goes_before_the_policys_and_a_rules_before_both(tmp_path):
    pair = [graded_run(tmp_path / name, hits) for name, hits in (("old", OLD), ("new", NOISY))]
    baseline = make_baseline(pair[0])
    own = Policy(margin=10, rules=(Rule(metrics=("accuracy",), margin=40),))
    found = [
        decide(pair[1], baseline, policy, margin).checks[0]
        for policy, margin in ((ACCURACY, None), (ACCURACY, 30), (own, None), (own, 20))
    ]
    assert [check.margin for check in found] == [0.10, 0.30, 0.40, 0.40]
    assert [check.outcome for check in found] == ["inconclusive", "pass", "pass", "pass"]


def corrected(folder, before, after, judged=False, **judge):
    """A run with repair and damage; ``judged``: with one verdict of ``facts`` a prompt."""
    answers = [*responses("base", before), *responses("new", after, before)]
    made = verdicts([0.5] * len(before)) if judged else ()
    return make_run(folder, prompts(len(before)), answers, made, **judge)


def test_less_damage_is_a_gain_and_more_a_loss(tmp_path):
    policy = Policy(margin=10, rules=(Rule(metrics=("damage",)),))
    clean, broken = corrected(tmp_path / "a", OLD, OLD), corrected(tmp_path / "b", OLD, WORSE)
    [worse] = decide(broken, make_baseline(clean), policy).checks
    [better] = decide(clean, make_baseline(broken), policy).checks
    assert worse.gain.value == pytest.approx(-20 / 30)
    assert better.gain.value == pytest.approx(20 / 30)
    assert (worse.outcome, better.outcome) == ("fail", "pass")
    assert (worse.before, worse.after) == (0.0, pytest.approx(20 / 30))


def test_a_prompt_without_a_value_in_one_run_is_counted_and_left_out(tmp_path):
    """Damage is of prompts that were right before; two of them were not, in the new run."""
    policy = Policy(margin=10, rules=(Rule(metrics=("damage",)),))
    fewer = [hit and i not in (0, 2) for i, hit in enumerate(OLD)]
    old, new = corrected(tmp_path / "a", OLD, OLD), corrected(tmp_path / "b", fewer, fewer)
    [check] = decide(new, make_baseline(old), policy).checks
    assert (check.n, check.n_unpaired) == (28, 2)


def test_a_failure_outweighs_what_is_inconclusive_and_advice_decides_nothing(tmp_path):
    both = {
        name: make_run(tmp_path / name, prompts(N), [*responses("a", one), *responses("b", two)])
        for name, one, two in (("old", OLD, OLD), ("new", WORSE, NOISY))
    }
    baseline = make_baseline(both["old"])

    def outcome(*rules):
        return decide(both["new"], baseline, Policy(margin=10, rules=rules)).outcome

    failing, noisy = Rule(metrics=("accuracy",), systems=("a",)), Rule(metrics=("accuracy",), systems=("b",))
    assert outcome(failing, noisy) == "fail"
    assert outcome(noisy) == "inconclusive"
    assert outcome(failing.model_copy(update={"advisory": True}), noisy) == "inconclusive"
    assert outcome(failing.model_copy(update={"advisory": True})) == "pass"


def test_of_many_categories_one_may_fail_by_chance(tmp_path):
    """A loss that is shown at 5 % by itself is not, as one of six; a clear one still is."""
    categories = [f"c{i % 6}" for i in range(120)]
    old = [True] * 120

    def report(lost, **rule):
        new = [not (i % 6 == 3 and i < 6 * lost) for i in range(120)]
        rules = (Rule(metrics=("accuracy",), by_category=True, **rule),)
        run = graded_run(tmp_path / f"new{lost}{len(rule)}", new, categories=categories)
        return decide(run, make_baseline(base), Policy(margin=10, rules=rules))

    base = graded_run(tmp_path / "old", old, categories=categories)
    [alone] = report(6, categories=("c3",)).checks
    assert (alone.category, alone.n, alone.outcome) == ("c3", 20, "fail")
    assert 0.05 / 6 < alone.p_fail < 0.05
    found = {check.category: check for check in report(6).checks}
    assert len(found) == 6
    assert found["c3"].p_fail == pytest.approx(alone.p_fail)
    assert found["c3"].p_adjusted == pytest.approx(6 * alone.p_fail)
    assert found["c3"].outcome == "inconclusive"
    assert found["c0"].gain.value == 0
    clear = {check.category: check.outcome for check in report(16).checks}
    assert clear["c3"] == "fail"


def test_another_judge_other_prompts_and_a_missing_system_are_refused(tmp_path):
    wins = Policy(rules=(Rule(metrics=("win_rate",)),))
    old = make_baseline(corrected(tmp_path / "old", OLD, OLD, True))
    with pytest.raises(UsageError, match="judge 'facts' is"):
        decide(corrected(tmp_path / "judge", OLD, OLD, True, identity="2" * 64), old, wins)
    with pytest.raises(UsageError, match="suite 's' has"):
        decide(corrected(tmp_path / "prompts", OLD[:-1], OLD[:-1], True), old, wins)
    with pytest.raises(UsageError, match="lacks the"):
        decide(
            graded_run(tmp_path / "system", OLD), old, Policy(rules=(Rule(metrics=("damage", "accuracy")),))
        )


@pytest.mark.parametrize("weak", ["old", "new"])
def test_a_judge_without_power_on_either_side_is_not_gated(weak, tmp_path):
    sides = {
        name: corrected(tmp_path / name, OLD, OLD, True, needs_audit=name == weak) for name in ("old", "new")
    }
    report = decide(sides["new"], make_baseline(sides["old"]), Policy(margin=10))
    assert {check.judge for check in report.checks} == {""}
    assert "judge 'facts' has no discriminating power" in report.left_out[0]


def test_an_edited_baseline_is_refused(tmp_path):
    path = tmp_path / "old.json"
    write_baseline(make_baseline(graded_run(tmp_path / "old", OLD)), path)
    assert read_baseline(path).series
    data = json.loads(path.read_text())
    values = next(s["values"] for s in data["series"] if s["metric"] == "accuracy")
    values[0] = 0.0
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="digest"):
        read_baseline(path)


def test_a_fitted_rate_is_compared_by_both_intervals(tmp_path):
    """0.4 against 0.6, unpaired: a loss of 0.2 whose bounds join both intervals."""
    base = make_baseline(graded_run(tmp_path / "r", OLD))
    key = Key("lc", "s", "facts", "new", "base")

    def side(value):
        number = Number(value=value, lower=value - 0.1, upper=value + 0.1, n=50, method="bca refit")
        return base.model_copy(update={"estimates": [BaselineEstimate(**key._asdict(), number=number)]})

    [check] = checks_of(key, Rule(metrics=("lc",)), 3.0, side(0.4), side(0.6))
    assert (check.before, check.after) == (0.6, 0.4)
    assert check.gain.value == pytest.approx(-0.2)
    half = np.hypot(0.1, 0.1) * stats.norm.ppf(0.95) / stats.norm.ppf(0.975)
    assert (check.gain.lower, check.gain.upper) == pytest.approx((-0.2 - half, -0.2 + half))
    assert check.outcome == "fail"
