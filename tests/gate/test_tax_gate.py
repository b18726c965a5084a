"""The gate on the alignment tax: a loss of capability that correction brings, against a stored baseline."""

from __future__ import annotations

import json
import random
import shutil
from importlib.util import find_spec

import pytest

from aligner_bench.gate.baseline import make_baseline, read_baseline
from aligner_bench.gate.decide import decide
from aligner_bench.gate.policy import Policy, Rule
from aligner_bench.gate.tax import read_tax
from aligner_bench.results.number import Number
from aligner_bench.stats.hypothesis_tests import paired_difference
from aligner_bench.tax.shape import TaxReport, TaxRow, TaxSample, TaxTask
from aligner_bench.verify.verify import verify
from tests.test_compare import N, answers, make, right

TAX = Policy(rules=(Rule(metrics=("tax",)),))


def report(with_corrector, *, system="new", version="1", up=True, families=None, task="sums", content="c"):
    """What ``tax`` writes of one task on which the upstream alone is always right."""
    without = 1.0 if up else 0.0
    samples = [
        TaxSample(
            task=task, metric="exact", system=system, doc_id=str(i), without=without,
            family=families[i] if families else None, **{"with": float(hit if up else not hit)},
        )
        for i, hit in enumerate(with_corrector)
    ]  # fmt: skip
    nothing = Number(value=None, lower=None, upper=None, n=len(samples), method="made up")
    row = TaxRow(
        task=task, metric="exact", system=system, n=len(samples), higher_is_better=up, without=without,
        difference=nothing, n_lost=0, n_gained=0, p_value=1.0, outcome=None, n_to_decide=None, sentence="",
        **{"with": 0.0},
    )  # fmt: skip
    described = TaxTask(task=task, version=version, content_hash=content * 64)
    return TaxReport(
        experiment="hand", experiment_hash="0" * 64, lm_eval="0", margin=None, tasks=[described], rows=[row],
        samples=samples, outcome=None,
    )  # fmt: skip


def written(found, path):
    path.write_text(found.model_dump_json(by_alias=True))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rng = random.Random(5)
    return make(tmp_path_factory.mktemp("taxed"), answers(right(rng, 0.5)), answers(right(rng, 0.6)))


@pytest.fixture(scope="module")
def hits():
    """Right with the corrector: old; as before; 45 lost of 300; 30 gained and 36 lost."""
    rng = random.Random(6)
    old = right(rng, 0.8)
    kept = [i for i, hit in enumerate(old) if hit]
    gained = rng.sample([i for i, hit in enumerate(old) if not hit], 30)
    lost = rng.sample(kept, 45)
    return {
        "old": old,
        "same": old,
        "worse": [hit and i not in lost for i, hit in enumerate(old)],
        "noisy": [(hit or i in gained) and i not in lost[:36] for i, hit in enumerate(old)],
    }


@pytest.fixture
def stored(run, hits, command, tmp_path):
    path = tmp_path / "stored.json"
    file = written(report(hits["old"]), tmp_path / "old.json")
    done = command("gate", run.path, "--tax", file, "--save-baseline", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize(("kind", "code"), [("same", 0), ("worse", 1), ("noisy", 3)])
def test_exit_codes(kind, code, run, hits, stored, cli, tmp_path):
    file = written(report(hits[kind]), tmp_path / "new.json")
    done = cli("gate", run.path, "--baseline", stored, "--tax", file, "--format", "json")
    assert done.returncode == code, done.stdout + done.stderr
    [check] = [check for check in json.loads(done.stdout)["checks"] if check["metric"] == "tax"]
    assert (check["suite"], check["system"], check["n"]) == ("sums/exact", "new", N)
    lost = {"same": 0.0, "worse": 0.15, "noisy": 0.02}[kind]
    assert check["gain"]["value"] == pytest.approx(-lost)
    assert check["before"] == pytest.approx(0.2)  # the upstream is always right
    assert (check["n_to_decide"] is not None) == (kind == "noisy")


def test_usage_errors_end_with_2(run, hits, stored, command, tmp_path):
    old = hits["old"]
    wrong = {
        "version 2, questions": report(old, version="2"),
        "is not the one of the baseline (version 1, questions": report(old, content="d"),
        "; expected version 1, questions": report(old[:-1]),
        "has no tax on 'sums/exact', which the baseline has": report(old, task="other"),
        "the run has no system 'nwe'; did you mean 'new'?": report(old, system="nwe"),
        "lacks the tax of new (sums/exact)": report(old, system="same"),
        "lacks the version of 'sums'": report(old).model_copy(update={"tasks": []}),
        "is of the experiment 'x'; expected 'hand'": report(old).model_copy(update={"experiment": "x"}),
    }
    files = {said: written(found, tmp_path / f"{i}.json") for i, (said, found) in enumerate(wrong.items())}
    broken = tmp_path / "broken.json"
    broken.write_text('{"rows": 1}')
    files |= {"is not a tax report": broken, "cannot be read": tmp_path / "none.json"}
    for expected, file in files.items():
        done = command("gate", run.path, "--baseline", stored, "--tax", file)
        assert done.returncode == 2, expected
        assert expected in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1
    missing = command("gate", run.path, "--baseline", stored)
    assert missing.returncode == 2
    assert "has no tax on 'sums/exact'" in missing.stderr


def test_the_folder_s_own_file_is_read_and_verified(run, hits, command, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    written(report(hits["old"]), folder / "tax.json")
    stored = tmp_path / "stored.json"
    assert command("gate", folder, "--save-baseline", stored).returncode == 0
    assert "tax" in {series.metric for series in read_baseline(stored).series}
    assert command("gate", folder, "--baseline", stored).returncode == 0
    assert verify(folder, baseline=stored).ok
    written(report(hits["worse"]), folder / "tax.json")
    assert command("gate", folder, "--baseline", stored).returncode == 1
    assert not verify(folder, baseline=stored).ok
    (folder / "tax.json").unlink()
    found = verify(folder, baseline=stored)
    assert found.ok
    assert any("has no tax.json; its tax was not checked" in note for note in found.notes)


def test_without_a_tax_a_baseline_is_as_it_was(run):
    assert read_tax(run) is None
    made = make_baseline(run)
    assert "tax" not in {series.metric for series in made.series}
    assert list(made.suites) == ["hand"]


def test_families_are_clusters_and_less_may_be_better(run, hits):
    families = [f"f{i // 3}" for i in range(N)]
    before = make_baseline(run, tax=report(hits["old"], families=families))
    after = report(hits["noisy"], families=families)
    [check] = decide(run, before, TAX, tax=after).checks
    new, old = ([float(hit) for hit in hits[kind]] for kind in ("noisy", "old"))
    expected = paired_difference(new, old, families, level=0.90)
    assert (check.gain.lower, check.gain.upper) == pytest.approx((expected.lower, expected.upper))
    errors = make_baseline(run, tax=report(hits["old"], up=False))
    [check] = decide(run, errors, TAX, tax=report(hits["worse"], up=False)).checks
    assert check.outcome == "fail"
    assert check.gain.value == pytest.approx(-0.15)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("lm_eval") is None, reason="the package lm-eval is not installed")
def test_what_tax_finds_is_what_the_gate_reads(hits, cli, tmp_path):
    """Replayed answers through lm-eval: a suite as a task, then with more losses."""
    up = answers([True] * N)
    runs = {kind: make(tmp_path / kind, up, answers(hits[kind])) for kind in ("old", "worse")}

    def tax(kind):
        home = tmp_path / kind
        command = ("tax", home / "exp.yaml", "-t", f"suite:{home / 'suite.yaml'}", "--system", "new")
        done = cli(*command, "-o", home / "out" / "tax.json", "--ledger", home / "l.sqlite")
        assert done.returncode == 0, done.stderr

    tax("old")
    tax("worse")
    stored = tmp_path / "stored.json"
    assert cli("gate", runs["old"].path, "--save-baseline", stored).returncode == 0
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules: [{metrics: tax, suites: 'suite:hand/correct'}]\n")
    gate = ("--baseline", stored, "--policy", policy)
    for kind, code in (("old", 0), ("worse", 1)):
        done = cli("gate", runs[kind].path, *gate)
        assert done.returncode == code, done.stdout + done.stderr
    assert "tax of new (suite:hand/correct): 20.0 % to 35.0 %: gain -15.0 points" in done.stdout
    [task] = read_tax(runs["old"]).tasks
    assert task.version.startswith("1 (")  # the suite's own, and its content
