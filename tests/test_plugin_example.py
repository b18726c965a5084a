"""The example plug-in, installed beside the core in a fresh environment: every kind of it in one run."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from aligner_bench.core.hashing import digest
from aligner_bench.store.tables import read_table
from tests.conftest import ROOT
from tests.test_wheel import clean_env, fresh_environment, quiet

pytestmark = pytest.mark.slow
EXAMPLE = ROOT / "tests" / "plugin_example"
OPENING = "You fool: "
PLUGIN = {"plugin": {"distribution": "aligner-bench-example", "version": "1.2.3"}}
PRINT_IDENTITY = """
import json
from pathlib import Path
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.runner.workbench import Workbench
from aligner_bench.store.ledger import Ledger
experiment = Experiment.load("experiment.yaml")
with Ledger(Path("l.sqlite")) as ledger:
    print(json.dumps(Workbench(experiment.models, {}, ledger).identity("rude")))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The new environment's ``bin`` and a folder in which the example's experiment has been run."""
    home = tmp_path_factory.mktemp("example")
    bin_ = fresh_environment(home, EXAMPLE)
    work = home / "work"
    work.mkdir()
    (work / "experiment.yaml").write_text((EXAMPLE / "experiment.yaml").read_text())
    command = ("run", "experiment.yaml", "--out", "run", "--ledger", "l.sqlite", "-q")
    quiet(bin_ / "aligner-bench", *command, cwd=work, env=clean_env())
    return bin_, work


@pytest.fixture(scope="module")
def rows(place):
    return lambda table: read_table(table, place[1] / "run" / f"{table}.parquet")


def test_the_environment_has_no_torch(place):
    bin_, work = place
    assert "torch" not in quiet(bin_ / "python", "-m", "pip", "list", cwd=work, env=clean_env())


def test_the_suite_is_additions_with_references(rows):
    prompts = rows("prompts")
    assert len({row["prompt_id"] for row in prompts}) == 24
    for row in prompts:
        a, b = map(int, re.findall(r"\d+", row["prompt"]))
        assert list(row["references"]) == [str(a + b)]


def test_engine_corrector_and_system_answered(rows):
    answers = {(row["system"], row["prompt_id"]): row for row in rows("responses")}
    assert len(answers) == 3 * 24
    right = Counter()
    for row in rows("prompts"):
        sums = {int(row["references"][0]) + wrong for wrong in (0, 1)}
        base, polite, voted = (answers[s, row["prompt_id"]] for s in ("base", "polite", "voted"))
        assert base["text"] in {f"{OPENING}The sum is {total}." for total in sums}
        assert polite["text"] == base["text"].removeprefix(OPENING)
        assert polite["upstream"] == base["text"]
        assert [step["action"] for step in json.loads(polite["trace"])] == ["start", "correct"]
        samples = [step["text"] for step in json.loads(voted["trace"])]
        assert len(samples) == voted["calls"] == 5
        assert samples[0] == base["text"]
        assert 2 * samples.count(voted["text"]) > 5
        right.update({name: answers[name, row["prompt_id"]]["correct"] for name in ("base", "voted")})
    assert 24 > right["voted"] > right["base"] > 0


def test_the_judge_prefers_the_shorter_answer(rows):
    verdicts = [row for row in rows("verdicts") if row["judge"] == "brief"]
    assert len(verdicts) == 24
    assert {(row["candidate"], row["preference"], row["status"]) for row in verdicts} == {
        ("polite", 1.0, "ok")
    }
    assert len([row for row in rows("audits") if row["judge"] == "brief"]) == 24


def test_the_rater_finds_the_insult_before_and_not_after(rows):
    labels = Counter((row["system"], row["side"], row["label"]) for row in rows("ratings"))
    assert labels == {
        ("base", "after", "harmful"): 24,
        ("polite", "before", "harmful"): 24,
        ("polite", "after", "harmless"): 24,
        ("voted", "after", "harmful"): 24,
    }
    assert len(rows("rater_audits")) == 24


def test_manifest_and_identities_name_distribution_and_version(place, rows):
    bin_, work = place
    manifest = json.loads((work / "run" / "manifest.json").read_text())
    kinds = [
        *("correctors.strip_phrase", "engines.calculator", "judges.length"),
        *("raters.listed_words", "suites.arithmetic", "systems.majority"),
    ]
    assert manifest["plugins"] == [PLUGIN["plugin"] | {"kinds": kinds}]
    judges = {row["judge"]: row["identity"] for row in rows("judges")}
    rule = {"kind": "length", "version": 1, "prefer": "shorter", "tolerance": 0.2}
    assert judges["brief"] == digest(rule | PLUGIN)
    assert judges["facts"] == digest({"kind": "reference", "rule": "normalised run of tokens", "version": 1})
    (rater,) = rows("raters")
    assert rater["identity"] == digest(
        {"kind": "listed_words", "version": 1, "words": ["fool", "idiot"]} | PLUGIN
    )
    said = json.loads(quiet(bin_ / "python", "-c", PRINT_IDENTITY, cwd=work, env=clean_env()))
    assert said == {"engine": "calculator", "rule": 1, "error_rate": 0.3, "opening": OPENING} | PLUGIN


def test_report_verify_and_doctor(place):
    bin_, work = place
    assert OPENING.strip() in (work / "run" / "report.html").read_text()
    assert "all agree" in quiet(bin_ / "aligner-bench", "verify", "run", cwd=work, env=clean_env())
    found = quiet(bin_ / "aligner-bench", "doctor", "--offline", cwd=work, env=clean_env(COLUMNS="200"))
    for kind in ("engine calculator", "suite kind arithmetic", "judge kind length"):
        assert re.search(rf"✓ {kind} +aligner-bench-example 1\.2\.3", found)


def test_the_same_command_again_has_nothing_to_do(place):
    bin_, work = place
    command = ("run", "experiment.yaml", "--out", "run", "--ledger", "l.sqlite", "-q")
    before = (work / "run" / "manifest.json").read_bytes()
    quiet(bin_ / "aligner-bench", *command, cwd=work, env=clean_env())
    assert (work / "run" / "manifest.json").read_bytes() == before
