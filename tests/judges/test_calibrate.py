"""Calibration and bridge, compared with results computed by hand."""

from __future__ import annotations

import json

import pytest

import aligner_bench
from aligner_bench.audits.calibrate import Bridge, Calibration, calibrate
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.stats.agreement import cohen_kappa, corrected_rate
from tests.test_replayed_run import write_experiment

BEFORE = ["no"] * 12 + ["yes"] * 8
AFTER = ["yes"] * 10 + ["no"] * 4 + ["no"] * 4 + ["yes"] * 2
# By the reference judge: p0-p9 candidate, p10-p11 tie, p12-p17 baseline, p18-p19 tie.
PEOPLE = (
    ["candidate"] * 8 + ["tie", "baseline"] + ["tie"] * 2 + ["baseline"] * 4 + ["win", "1", "draw", "0.5"]
)


@pytest.fixture
def run(tmp_path):
    path = write_experiment(tmp_path, BEFORE, AFTER, [["yes"]] * 20)
    return aligner_bench.run(Experiment.load(path), tmp_path / "out", ledger=tmp_path / "l.sqlite")


def write_labels(path, rows, header="prompt_id,label,candidate"):
    path.write_text(header + "\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_calibration_by_hand(run, tmp_path):
    labels = write_labels(tmp_path / "l.csv", [f"p{i},{word},new" for i, word in enumerate(PEOPLE)])
    (found,) = calibrate(run, labels)
    assert (found.n_labels, found.n_both, found.n_raters) == (20, 20, 1)
    assert found.table["candidate"] == {"candidate": 8, "tie": 1, "baseline": 1}
    assert found.table["baseline"] == {"candidate": 2, "tie": 0, "baseline": 4}
    assert found.agreement.value == pytest.approx(16 / 20)
    assert found.sensitivity.value == pytest.approx(8 / 10)
    assert found.specificity.value == pytest.approx(8 / 10)
    assert found.observed.value == pytest.approx(0.5)
    assert found.corrected.value == pytest.approx((0.5 + 0.8 - 1) / (0.8 + 0.8 - 1))
    expected = corrected_rate((10, 20), (8, 10), (8, 10))
    assert (found.corrected.lower, found.corrected.upper) == pytest.approx((expected.lower, expected.upper))
    assert found.corrected.upper - found.corrected.lower > found.observed.upper - found.observed.lower
    judge = [1] * 10 + [0, 0] + [-1] * 6 + [0, 0]
    people = [1] * 8 + [0, -1, 0, 0] + [-1] * 4 + [1, 1, 0, 0]
    assert found.kappa.value == pytest.approx(cohen_kappa(judge, people).value)


def test_several_raters_and_the_command(run, tmp_path, cli):
    rows = [f"p{i},{word},new,{who}" for who in "xyz" for i, word in enumerate(PEOPLE)]
    rows[0] = "p0,baseline,new,x"  # outvoted
    labels = write_labels(tmp_path / "l.csv", rows, "prompt_id,label,candidate,rater")
    done = cli("judge", "calibrate", run.path, labels, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = Calibration.model_validate(json.loads(done.stdout))
    assert found.n_raters == 3
    assert found.table["candidate"]["candidate"] == 8
    assert 0.9 < found.human_alpha.value < 1
    assert "corrected for its errors" in cli("judge", "calibrate", run.path, labels).stdout


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["p0,maybe"], "prompt_id,label", "expected candidate, baseline or tie"),
        (["p0,tie"], "prompt,label", "column 'prompt_id' is missing"),
        (["p0,tie"], "prompt_id,label", "in several comparisons"),
        (["zz,tie"], "prompt_id,label", "no label belongs"),
    ],
)
def test_bad_labels_end_as_one_line(run, tmp_path, cli, rows, header, words):
    done = cli("judge", "calibrate", run.path, write_labels(tmp_path / "l.csv", rows, header))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def test_bridge_between_two_runs(run, tmp_path, cli):
    """The same pairs judged by another rule: references changed, so that two verdicts turn."""
    home = tmp_path / "other"
    home.mkdir()
    path = write_experiment(home, BEFORE, AFTER, [["no"]] * 2 + [["yes"]] * 18)
    other = aligner_bench.run(Experiment.load(path), home / "out", ledger=home / "l.sqlite")
    args = ("judge", "bridge", run.path, "--judge-b", "facts", "--other", other.path, "--format", "json")
    done = cli(*args)
    assert done.returncode == 0, done.stderr
    found = Bridge.model_validate_json(done.stdout)
    assert (found.n_sample, found.n_both) == (40, 40)  # both comparisons of the run
    assert found.table["candidate"] == {"candidate": 8, "tie": 0, "baseline": 2}
    assert found.agreement.value == pytest.approx(38 / 40)
    assert found.shift.value == pytest.approx(-2 / 40)
    assert found.shift.value == pytest.approx(found.rate_b.value - found.rate_a.value)
    assert found.shift.lower < found.shift.value < found.shift.upper
    small = [json.loads(cli(*args, "--sample", "10").stdout) for _ in range(2)]
    assert small[0] == small[1]
    assert small[0]["n_sample"] == 10


def test_bridge_judges_a_sample_of_the_pairs(models, run, tmp_path, cli):
    text = (tmp_path / "exp.yaml").read_text()
    (tmp_path / "two.yaml").write_text(
        text.replace("judges:\n", "judges:\n  ranker: {kind: pairrm, model: tiny-pair-ranker}\n")
    )
    args = ("judge", "bridge", run.path, "--judge-b", "ranker", "--ledger", tmp_path / "l.sqlite")
    done = cli(*args, "--experiment", tmp_path / "two.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = Bridge.model_validate_json(done.stdout)
    assert found.judge_b == "ranker"
    assert found.n_both == 40
    assert found.identity_a != found.identity_b
    missing = cli(*args)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "unknown judge 'ranker'" in missing.stderr
