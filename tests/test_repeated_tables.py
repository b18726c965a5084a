"""Experiments that repeat a published table: cells, profile, smoke scale, and ours next to the paper's."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections import Counter

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.experiment.profiles import PROFILES
from aligner_bench.papers.spec import cells
from aligner_bench.papers.tables import load_table
from aligner_bench.results.compute import compute
from aligner_bench.results.number import Number
from aligner_bench.results.papers import difference
from aligner_bench.runner.plan import make_plan
from aligner_bench.runner.plan_report import plan_report
from aligner_bench.views import published
from tests.conftest import ROOT

TABLES = {"table1": 108, "table2": 36, "table3": 36, "table4": 108, "table5": 36, "table6": 36, "figure3": 42}


@pytest.mark.parametrize(("name", "count"), TABLES.items())
def test_an_experiment_has_each_cell_of_its_table_once(name, count):
    experiment = Experiment.load(f"ngweta2024-{name}")
    suites = [use.name for use in experiment.suites]
    found = cells(experiment.paper, experiment.pairs(), suites)
    table = load_table(f"ngweta2024/{name}")
    assert len(found) == count
    ours = Counter((cell["row"], cell["column"], cell["printed"]) for cell in found)
    assert ours == Counter((table.row(cell), table.column(cell), cell.text) for cell in table.cells)
    for system, sizes in experiment.trends.items():
        assert len(sizes) == 4, system


def test_plan_prints_the_papers_counts(cli):
    done = cli("plan", "ngweta2024-table1", "--scale", "smoke")
    assert done.returncode == 0, done.stderr
    assert "cells: 108 of ngweta2024/table1; profile: ngweta2024" in done.stdout
    for name, count in TABLES.items():
        experiment = Experiment.load(f"ngweta2024-{name}").smoke()
        report = plan_report(experiment, make_plan(experiment))
        assert (report.cells, report.paper) == (count, f"ngweta2024/{name}")


def test_plan_at_full_scale_with_the_real_prompts(cli, shared_data):
    done = cli("plan", "ngweta2024-table1", "--data-dir", shared_data, "--format", "json")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert planned["cells"] == 108
    assert [suite["n"] for suite in planned["suites"]] == [800]
    judged = [stage["items"] for stage in planned["stages"] if stage["stage"] == "judge"]
    assert judged == [108 * 800]


def test_the_profile_is_the_papers_and_is_written_out():
    experiment = Experiment.load("ngweta2024-table2")
    profile = PROFILES["ngweta2024"]
    assert profile.fill("Why {x}?") == "Answer the following question: \n\nInput:\nWhy {x}?\nResponse:"
    assert not profile.chat
    assert experiment.decoding.repetition_penalty == 2.0
    assert experiment.decoding.max_new_tokens == 256
    assert experiment.decoding.stop_after == (".", "!", "\\?")
    squad = experiment.systems["llama-2-13b+phi-2"].corrector
    assert list(squad.members) == ["factuality", "ethical", "helpful"]
    assert (squad.order, squad.batch_size, squad.limit("ethical")) == ("batch", 64, 0.5)
    for aligner in (member.aligner for member in squad.members.values()):
        assert aligner.decoding.max_new_tokens == 512
        assert aligner.decoding.stop_after == (".",)
        assert aligner.decoding.repetition_penalty == 1.0
    ji = experiment.systems["falcon-40b+ji"].corrector
    assert (ji.template.name, ji.decoding.max_new_tokens, ji.decoding.stop_after) == ("ji-v1", 2048, ())


def aligners_in(corrector):
    if corrector.kind == "aligner":
        return [corrector]
    members = getattr(corrector, "members", {}).values()
    return [member.aligner for member in members] + [
        a for part in corrector.parts() for a in aligners_in(part)
    ]


def test_smoke_swaps_everything_that_is_not_here_and_names_no_stand_in_after_the_real_one():
    small = Experiment.load("ngweta2024-table2").smoke()
    assert {spec.model for spec in small.models.values()} == {"smollm2-135m-instruct"}
    assert {spec.model for spec in small.inspectors.values()} == {
        "packaged:ethical", "packaged:factuality", "packaged:helpful"
    }  # fmt: skip
    assert set(small.judges) == {"inspectors", "stand-in-for-pairrm-format-test"}
    assert small.headline == small.paper.judge == "inspectors"
    assert [use.name for use in small.suites] == ["synthetic-3h"]
    most = [
        aligner.decoding.max_new_tokens
        for system in small.systems.values()
        if system.corrector is not None
        for aligner in aligners_in(system.corrector)
    ]
    assert max([*most, small.decoding.max_new_tokens]) == 24
    assert all(not comparison.judges for comparison in small.comparisons)


def test_a_profile_and_a_decoding_exclude_each_other(tmp_path):
    text = (
        "name: x\nprofile: ngweta2024\ndecoding: {max_new_tokens: 9}\nsuites: [quick-facts]\n"
        "models: {m: {engine: hf, model: m}}\nsystems: {a: {upstream: m}}\n"
    )
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UsageError, match="ngweta2024 says how to decode; leave out decoding"):
        Experiment.load(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(text.replace("profile: ngweta2024", "profile: ngweta2042"))
    with pytest.raises(UsageError, match="did you mean 'ngweta2024'"):
        Experiment.load(tmp_path / "x.yaml")


WINS = {"small": 30, "large": 48}


def write_repeat(home, **changes):
    """Recorded answers to 60 prompts: ``small`` has 30 right, ``large`` 48, the base the last 6."""
    rows = [{"id": f"p{i:02d}", "prompt": f"Question {i}?", "references": ["yes"]} for i in range(60)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "suite.yaml").write_text(
        "name: hand\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    right = {"base": range(54, 60), **{name: range(n) for name, n in WINS.items()}}
    answers = {name: ["yes" if i in held else "no" for i in range(60)] for name, held in right.items()}
    for name, answer in answers.items():
        lines = [json.dumps({"prompt_id": f"p{i:02d}", "output": answer[i]}) for i in range(60)]
        (home / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    experiment = {
        "name": "repeat",
        "suites": ["suite.yaml"],
        "models": {name: {"engine": "replay", "path": f"{name}.jsonl"} for name in answers},
        "systems": {name: {"upstream": name} for name in answers},
        "judges": {"facts": {"kind": "reference"}},
        "comparisons": [{"candidate": name, "baselines": ["base"]} for name in WINS],
        "paper": {
            "table": "ngweta2024/table2",
            "judge": "facts",
            "labels": {
                "base": {"baseline": "Falcon-40B"},
                "small": {"aligner_model": "GPT-2 Large"},
                "large": {"aligner_model": "Phi-2"},
            },
        },
        "trends": {"by size": {"small": 1e9, "large": 4e9}},
        **changes,
    }
    (home / "exp.yaml").write_text(json.dumps(experiment))
    return home / "exp.yaml"


@pytest.fixture(scope="module")
def repeat(tmp_path_factory):
    home = tmp_path_factory.mktemp("repeat")
    return aligner_bench.run(Experiment.load(write_repeat(home)), home / "out", ledger=home / "l.sqlite")


def test_ours_stands_next_to_the_papers_with_the_difference_and_its_interval(repeat):
    small, large = repeat.results().papers
    assert (small.row, small.column, small.published) == ("Falcon-40B", "GPT-2 Large", 0.687)
    # wins of decided prompts: small 30 of 36 (it loses the 6 that only the base has right), large 48 of 54
    assert small.ours.value == pytest.approx(30 / 36)
    assert large.ours.value == pytest.approx(48 / 54)
    assert small.difference.value == pytest.approx(30 / 36 - 0.687)
    assert small.difference.lower < small.difference.value < small.difference.upper
    # the paper's own doubt (n = 800) widens the interval a little, and only a little
    ours = small.ours.upper - small.ours.lower
    assert ours < small.difference.upper - small.difference.lower < 1.2 * ours
    assert small.comparable
    assert small.published_n == 800


def test_mover_joins_both_intervals_and_an_unknown_n_counts_as_exact():
    ours = Number(value=0.6, lower=0.5, upper=0.7, n=100, method="wilson")
    exact = difference(ours, 0.55, None, "strict")
    assert (exact.lower, exact.upper) == (pytest.approx(-0.05), pytest.approx(0.15))
    assert "taken as exact" in exact.method
    both = difference(ours, 0.5, 100, "strict")
    half = 0.0960  # Wilson of 50 in 100: 0.404 to 0.596
    assert both.lower == pytest.approx(0.1 - math.hypot(0.1, half), abs=1e-3)
    assert (
        difference(Number(value=None, lower=None, upper=None, n=0, method="none"), 0.5, 9, "strict") is None
    )


def test_the_command_shows_both_in_every_format(repeat, cli):
    name = "ngweta2024/table2"
    shown = cli("leaderboard", repeat.path, "--papers", name)
    assert shown.returncode == 0, shown.stderr
    assert "Falcon-40B, GPT-2 Large" in shown.stdout
    assert "68.7" in shown.stdout
    results = repeat.results()
    rows = list(csv.DictReader(io.StringIO(published.as_csv(results))))
    assert float(rows[0]["difference_value"]) == pytest.approx(30 / 36 - 0.687)
    assert len(json.loads(published.as_json(results))["cells"]) == 2
    assert "| Falcon-40B, Phi-2 |" in published.as_markdown(results)
    assert "Falcon-40B, Phi-2 &" in published.as_latex(results)
    other = cli("leaderboard", repeat.path, "--papers", "ngweta2024/table5")
    assert other.returncode == 2
    assert "does not reproduce ngweta2024/table5; it reproduces ngweta2024/table2" in other.stderr


def test_the_report_shows_the_grid_and_verify_recomputes_it(repeat, cli):
    html = (repeat.path / "report.html").read_text("utf-8")
    assert "Next to the published numbers" in html
    assert "paper 68.7" in html
    checked = cli("verify", repeat.path)
    assert checked.returncode == 0, checked.stdout
    board = repeat.path / "leaderboard.json"
    kept = board.read_text()
    board.write_text(kept.replace('"published": 0.687', '"published": 0.787'))
    try:
        found = cli("verify", repeat.path)
    finally:
        board.write_text(kept)
    assert found.returncode == 1
    assert "published is 0.787, the rows give 0.687" in found.stdout


def test_a_trend_is_tested_over_the_prompts(repeat):
    (row,) = repeat.results().trends
    # 18 of 60 prompts go from tie to win over two doublings: 0.5 * 18 / 60 / 2 a doubling
    assert row.n == 60
    assert row.slope.value == pytest.approx(0.5 * 18 / 60 / 2)
    assert row.slope.lower > 0
    assert row.p_adjusted == row.p_slope < 0.001
    assert "grows with the aligner's size" in row.sentence


def test_no_trend_is_claimed_where_the_test_shows_none(tmp_path):
    path = write_repeat(
        tmp_path, trends={"same": {"small": 1e9, "large": 1e9}, "two": {"small": 4e9, "large": 1e9}}
    )
    run = aligner_bench.run(Experiment.load(path), tmp_path / "out", ledger=tmp_path / "l.sqlite")
    (row,) = run.results().trends  # one size only is no trend
    assert row.name == "two"
    assert "falls with the aligner's size" in row.sentence
    (tmp_path / "large.jsonl").write_text((tmp_path / "small.jsonl").read_text())
    again = aligner_bench.run(Experiment.load(path), tmp_path / "out2", ledger=tmp_path / "l2.sqlite")
    (row,) = again.results().trends
    assert "no trend shown" in row.sentence


def test_a_smoke_run_is_never_comparable(repeat):
    from dataclasses import replace

    results = compute(repeat.tables(), replace(repeat.facts, scale="smoke"))
    assert [row.comparable for row in results.papers] == [False, False]
    assert all("not comparable: smoke run" in row.note for row in results.papers)


def test_labels_that_fit_no_cell_name_the_nearest(tmp_path):
    path = write_repeat(tmp_path)
    path.write_text(path.read_text().replace('"GPT-2 Large"', '"GPT2 Large"'))
    with pytest.raises(
        UsageError, match="no cell has aligner_model 'GPT2 Large'; did you mean 'GPT-2 Large'"
    ):
        Experiment.load(path)


_WITHOUT_ALPACA_EVAL = """\
import importlib.util, sys

def gone(name):
    return name.split(".")[0] == "alpaca_eval"

class Gone:
    def find_spec(self, name, path=None, target=None):
        if gone(name):
            raise ModuleNotFoundError(name)

find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if gone(name) else find(name, *rest)
sys.meta_path.insert(0, Gone())
from aligner_bench.cli.main import main
main()
"""


@pytest.fixture
def bare(tmp_path):
    """The command line where alpaca-eval is not installed."""

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-c", _WITHOUT_ALPACA_EVAL, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return call


def test_smoke_scale_needs_no_alpaca_eval_and_full_scale_says_that_it_does(bare):
    for name in ("table1", "table2", "table3", "figure3"):
        done = bare("plan", f"ngweta2024-{name}", "--scale", "smoke")
        assert done.returncode == 0, done.stderr
        assert f"cells: {TABLES[name]} of ngweta2024/{name}" in done.stdout
    full = bare("plan", "ngweta2024-table1")
    assert full.returncode == 2
    assert "judges.gpt4.annotator: judge alpaca_eval needs the package alpaca-eval" in full.stderr
    assert full.stderr.count("\n") == 1


def test_a_judge_that_stays_at_smoke_scale_is_still_checked(bare, tmp_path):
    (tmp_path / "exp.yaml").write_text(
        "name: e\nsuites: [quick-facts]\n"
        "models:\n  m: {engine: hf, model: x/y, smoke: smollm2-135m-instruct}\n"
        "systems:\n  base: {upstream: m}\n  new: {upstream: m, corrector: {kind: identity}}\n"
        "judges:\n  gpt4: {kind: alpaca_eval}\ncomparisons: [{candidate: new, baselines: [base]}]\n"
    )
    done = bare("plan", "exp.yaml", "--scale", "smoke")
    assert done.returncode == 2
    assert "exp.yaml:9: judges.gpt4.annotator: judge alpaca_eval needs the package" in done.stderr


@pytest.mark.slow
def test_a_smoke_run_without_alpaca_eval(models, bare, tmp_path):
    out, ledger = tmp_path / "run", tmp_path / "l.sqlite"
    command = ("run", "ngweta2024-figure3", "--scale", "smoke", "--limit", "1", "--out", out, "-q")
    done = bare(*command, "--ledger", ledger)
    assert done.returncode == 0, done.stderr
    results = aligner_bench.Run(out).results()
    assert {judge.judge for judge in results.judges} == {"inspectors", "stand-in-for-pairrm-format-test"}
    assert not any(row.comparable for row in results.papers)


@pytest.mark.slow
def test_table_2_runs_end_to_end_at_smoke_scale(models, cli, tmp_path):
    done = cli(
        "run", "ngweta2024-table2", "--scale", "smoke", "--limit", "3", "--out", tmp_path / "run", "-q",
        "--ledger", tmp_path / "l.sqlite",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = aligner_bench.Run(tmp_path / "run").results()
    assert len(results.papers) == 36
    assert not any(row.comparable for row in results.papers)
    assert {row.judge for row in results.rows} == {"inspectors", "stand-in-for-pairrm-format-test"}
    assert len(results.rows) == 72
    assert {state.inspector for state in results.trajectories} == {"ethical", "factuality", "helpful"}
    html = (tmp_path / "run" / "report.html").read_text("utf-8")
    for words in ("Smoke run.", "not comparable", "Next to the published numbers", 'id="dist-0-w-t"'):
        assert words in html
