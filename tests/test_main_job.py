"""The main job on real models: SmolLM2 answers, correctors rewrite, judges compare."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aligner_bench
from aligner_bench.experiment.experiment import Experiment
from tests.conftest import ROOT, leaderboard_of

SMALL = """\
name: small
decoding: {{temperature: 0.0, max_new_tokens: 16}}
suites: [{suite}]
models:
  smollm2: {{engine: hf, model: smollm2-135m-instruct, batch_size: {batch}}}
inspectors:
  factuality: {{model: "packaged:factuality", batch_size: {batch}}}
  helpful: {{model: "packaged:helpful", batch_size: {batch}}}
systems:
  base: {{upstream: smollm2}}
  squad:
    upstream: smollm2
    corrector:
      kind: squad
      threshold: 0.6
      members:
        factuality: {{inspector: factuality, aligner: {{kind: aligner, model: smollm2, template: ngweta}}}}
        helpful: {{inspector: helpful, aligner: {{kind: aligner, model: smollm2, template: prompted}}}}
judges:
  facts: {{kind: reference}}
  inspectors: {{kind: inspector, inspectors: [factuality, helpful]}}
comparisons:
  - {{candidate: squad, baselines: [base]}}
"""


@pytest.fixture(scope="module")
def demo(models, tmp_path_factory):
    """A small demo run, undisturbed, with a ledger of its own."""
    home = tmp_path_factory.mktemp("demo")
    experiment = Experiment.load("quickstart").limited(10)
    return aligner_bench.run(experiment, home / "run", ledger=home / "ledger.sqlite")


def some_prompts(path: Path, order: random.Random | None) -> Path:
    """Sixteen questions as a suite file, shuffled where an order is given."""
    lines = (ROOT / "suites" / "quick-facts.jsonl").read_text().splitlines()[::6]
    if order:
        order.shuffle(lines)
    (path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    definition = "name: some\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    (path / "some.yaml").write_text(definition)
    return path / "some.yaml"


def outcome(run: aligner_bench.Run) -> tuple[dict, list[float]]:
    """What must not depend on batches: texts, statuses and every step of every trace; and the scores in them.

    Scores are float32 sums, whose last digits may depend on the batch: they are compared to 1e-5.
    """
    kept = ("text", "status", "finish_reason", "prompt_tokens", "completion_tokens")
    found, scores = {}, []
    for row in sorted(run.rows("responses"), key=lambda row: (row["system"], row["prompt_id"])):
        trace = json.loads(row["trace"])
        for step in trace:
            scores += [score for _, score in sorted(step.pop("scores").items())]
        found[row["prompt_id"], row["system"]] = {k: row[k] for k in kept} | {"trace": trace}
    return found, scores


@pytest.mark.slow
def test_answers_and_squads_do_not_depend_on_batches_or_order(models, tmp_path):
    outcomes, boards = [], []
    for batch, order in ((64, None), (7, None), (1, None), (7, random.Random(3))):
        home = tmp_path / f"{batch}-{order is not None}"
        home.mkdir()
        some_prompts(home, order)
        (home / "exp.yaml").write_text(SMALL.format(suite="some.yaml", batch=batch))
        run = aligner_bench.run(Experiment.load(home / "exp.yaml"), home / "out", ledger=home / "l.sqlite")
        outcomes.append(outcome(run))
        boards.append([row.model_dump(exclude={"by_category"}) for row in run.results().rows])
    (answers, scores), *others = outcomes
    assert len(answers) == 32
    actions = {step["action"] for row in answers.values() for step in row["trace"]}
    assert actions == {"start", "correct", "skip"}
    for other_answers, other_scores in others:
        assert other_answers == answers
        assert other_scores == pytest.approx(scores, abs=1e-5)
    for other in boards[1:]:
        assert other == boards[0]


def test_the_demos_controls(demo):
    rows = {(row.judge, row.suite, row.system): row for row in demo.results().rows}
    for (judge, _, system), row in rows.items():
        assert row.n_wins + row.n_draws + row.n_wins_base + row.n_failed == row.n_total == 10
        if system == "identity":
            assert row.n_draws == row.n_identical == 10
            assert row.conclusion == "same"
        if judge == "facts" and system == "resample":
            assert row.rates["weighted"].lower <= 0.5 <= row.rates["weighted"].upper


def test_the_small_model_has_no_power_as_a_judge(demo):
    results = demo.results()
    judge = next(j for j in results.judges if j.judge == "smollm2-judge")
    assert judge.first_slot.n >= 48
    assert not judge.has_power
    assert "no discriminating power" in judge.sentence
    assert judge.sentence in results.warnings
    assert not any("smollm2-judge" in line for line in results.headline)
    judged = [row for row in results.rows if row.judge == "smollm2-judge"]
    assert judged
    assert {row.conclusion for row in judged} == {"no_power"}


def test_a_judge_that_steered_a_system_is_named(demo):
    (line,) = [line for line in demo.results().warnings if "steered" in line]
    assert line.startswith("inspectors scores with the inspectors that steered squad, best-of-4")


def test_repair_and_damage_add_up(demo):
    accuracy = {r.system: r.accuracy.value for r in demo.results().systems if r.suite == "quick-facts"}
    for row in demo.results().systems:
        if row.suite == "quick-facts" and row.repair is not None and row.damage is not None:
            change = (row.n_repaired - row.n_damaged) / row.n_total
            assert accuracy[row.system] - accuracy["base"] == pytest.approx(change)


def test_samples_are_shared_and_differ(demo):
    answers = demo.responses().set_index(["system", "prompt_id"])["text"]
    traces = demo.responses().set_index(["system", "prompt_id"])["trace"]
    assert (answers["base"] != answers["resample"]).any()
    for prompt, text in answers["base"].items():
        candidates = [step["text"] for step in json.loads(traces["best-of-4", prompt])]
        assert len(candidates) == 4
        assert candidates[0] == text


def test_each_model_is_loaded_once(demo):
    assert set(demo.manifest["model_loads"].values()) == {1}
    assert set(demo.manifest["model_loads"]) == {"smollm2", "ethical", "factuality", "helpful"}


def test_a_second_run_does_nothing_and_gives_the_same_bytes(demo, cli):
    before = (demo.path / "leaderboard.json").read_bytes()
    ledger = demo.path.parent / "ledger.sqlite"
    done = cli("demo", "--limit", "10", "--out", demo.path, "--ledger", ledger, "-q")
    assert done.returncode == 0, done.stderr
    assert "work items: 0 computed" in done.stdout
    assert (demo.path / "leaderboard.json").read_bytes() == before


@pytest.mark.slow
def test_killed_at_any_instant_it_resumes(demo, cli, tmp_path):
    """kill -9 twice at random instants, then finish: nothing is computed twice, same bytes."""
    out, ledger = tmp_path / "run", tmp_path / "ledger.sqlite"
    command = [sys.executable, "-m", "aligner_bench", "demo", "--limit", "10", "--quiet"]
    command += ["--out", str(out), "--ledger", str(ledger)]
    dice = random.Random(time.time_ns())
    killed_with = 0
    for _ in range(2):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        waited = wait_for_items(ledger, killed_with + dice.randrange(1, 60), process)
        time.sleep(dice.random() * 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert waited, "the run ended before it could be killed"
        killed_with = count_items(ledger)
        assert not (out / "leaderboard.json").exists()
    done = cli(*command[3:], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    reused = int(done.stdout.split("computed, ")[1].split()[0])
    assert reused >= killed_with > 0
    with sqlite3.connect(ledger) as db:
        assert db.execute("SELECT COUNT(*) FROM items WHERE writes > 1").fetchone() == (0,)
    assert count_items(ledger) == count_items(demo.path.parent / "ledger.sqlite")
    assert leaderboard_of(out) == leaderboard_of(demo.path)
    assert (out / "leaderboard.json").read_bytes() == (demo.path / "leaderboard.json").read_bytes()


def count_items(ledger: Path) -> int:
    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT COUNT(*) FROM items").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def wait_for_items(ledger: Path, wanted: int, process: subprocess.Popen) -> bool:
    """Wait until the run has stored that many items; False if it ended first."""
    for _ in range(6000):
        if count_items(ledger) >= wanted:
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.05)
    raise AssertionError(f"{wanted} items were not stored in five minutes")


def test_the_actions_script_gates_the_demo_against_the_stored_baseline(demo):
    """The same code gives the same answers; another processor may flip a few, which is no failure."""
    baseline = ROOT / "leaderboards" / "quickstart-limit-10.baseline.json"
    settings = {"GATE_RUN": str(demo.path), "GATE_BASELINE": str(baseline), "GATE_MARGIN": "40"}
    done = subprocess.run(
        ["bash", str(ROOT / ".github" / "gate.sh")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "GATE_PYTHON": sys.executable, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "facts" in done.stdout
