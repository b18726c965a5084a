"""A run over recorded outputs: every number can be worked out by hand, and hostile text does no harm."""

from __future__ import annotations

import csv
import io
import json

import pytest

import aligner_bench
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.results.schema import Results
from tests.conftest import leaderboard_of

HOSTILE = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "one [ALIGNED] two [INIT] three",
    "{{ 7 * 7 }} {% raw %}",
    "half \ud800 pair and nul \x00",
    "\u202egnirts",
]


def write_experiment(home, texts, corrected, references, extra="", categories=None):
    rows = [
        {
            "id": f"p{i}",
            "prompt": f"Question {i}?",
            "references": refs,
            "category": (categories or ["all"] * 99)[i],
        }
        for i, refs in enumerate(references)
    ]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "suite.yaml").write_text(
        "name: hand\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    for name, outputs in (("up", texts), ("fixed", corrected)):
        lines = [{"prompt_id": f"p{i}", "output": t} for i, t in enumerate(outputs) if t is not None]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (home / "exp.yaml").write_text(
        "name: hand\nsuites: [suite.yaml]\n"
        "models:\n  up: {engine: replay, path: up.jsonl}\n  fixed: {engine: replay, path: fixed.jsonl}\n"
        "systems:\n  base: {upstream: up}\n  same: {upstream: up, corrector: {kind: identity}}\n"
        "  new: {upstream: up, corrector: {kind: aligner, model: fixed}}\n"
        "judges:\n  facts: {kind: reference}\n"
        "comparisons:\n  - {candidate: new, baselines: [base]}\n  - {candidate: same, baselines: [base]}\n"
        + extra
    )
    return home / "exp.yaml"


@pytest.fixture
def hand(tmp_path):
    """Ten prompts: 2 repaired, 1 damaged, 3 right before and after, 3 wrong twice, 1 correction missing."""
    refs = [["yes"]] * 10
    before = ["no", "no", "yes", "yes", "yes", "yes", "no", "no", "no", "yes"]
    after = ["yes", "yes", "no", "yes", "yes", "yes!", "no", "never", "no", None]
    path = write_experiment(tmp_path, before, after, refs, categories=["odd", "even"] * 5)
    return aligner_bench.run(Experiment.load(path), tmp_path / "out", ledger=tmp_path / "l.sqlite")


def test_numbers_worked_out_by_hand(hand):
    row = next(r for r in hand.results().rows if r.system == "new")
    assert (row.n_wins, row.n_draws, row.n_wins_base, row.n_failed, row.n_total) == (2, 6, 1, 1, 10)
    assert row.failures == {"missing": 1}
    assert row.rates["strict"].value == pytest.approx(2 / 3)
    assert row.rates["strict_all"].value == pytest.approx(2 / 9)
    assert row.rates["discrete"].value == row.rates["weighted"].value == pytest.approx(5 / 9)
    assert row.rates["omega"].value == pytest.approx(1 / 9)
    assert row.win_rate == pytest.approx(500 / 9)
    assert row.p_value == 1.0
    assert row.conclusion == "undecided"
    assert {s.category: s.n_total for s in row.by_category} == {"odd": 5, "even": 5}
    system = next(s for s in hand.results().systems if s.system == "new")
    assert (system.n_repaired, system.n_damaged) == (2, 2)  # the missing correction broke a right answer
    assert (system.repair.value, system.damage.value) == (2 / 5, 2 / 5)
    assert (system.repair.n, system.damage.n) == (5, 5)
    assert system.accuracy.value == 0.5
    assert system.statuses == {"error": 1, "ok": 9}
    assert any("1 missing of 10" in line for line in hand.results().warnings)


def test_identity_is_all_ties_and_says_what_it_does_not_know(hand):
    row = next(r for r in hand.results().rows if r.system == "same")
    assert row.n_draws == row.n_identical == 10
    rate = row.rates["discrete"]
    assert rate.value == 0.5
    assert rate.lower < 0.5 < rate.upper


def test_failed_items_are_tried_again(hand, tmp_path):
    with (tmp_path / "fixed.jsonl").open("a") as stream:
        stream.write(json.dumps({"prompt_id": "p9", "output": "yes"}) + "\n")
    again = aligner_bench.run(
        Experiment.load(tmp_path / "exp.yaml"), tmp_path / "out", ledger=tmp_path / "l.sqlite", overwrite=True
    )
    row = next(r for r in again.results().rows if r.system == "new")
    assert (row.n_failed, row.n_draws) == (0, 7)


def test_every_format_of_the_leaderboard(hand, cli):
    def shown(kind):
        done = cli("leaderboard", hand.path, "--format", kind)
        assert done.returncode == 0, done.stderr
        return done.stdout

    rows = json.loads(shown("json"))
    assert [row["system"] for row in rows] == ["new", "same"]
    assert rows[0]["strict"] == pytest.approx(200 / 3)
    read = list(csv.DictReader(io.StringIO(shown("csv"))))
    assert float(read[0]["win_rate"]) == pytest.approx(rows[0]["win_rate"])
    assert shown("md").count("| hand |") == 2
    assert shown("latex").count(r"\\") == 3
    assert "new against base" in shown("table")
    assert list(hand.leaderboard()["system"]) == ["new", "same"]
    assert len(hand.responses()) == 30
    assert len(hand.verdicts()) == 20


def test_leaderboard_file_has_the_written_schema(hand):
    assert Results.model_validate(leaderboard_of(hand.path)) == hand.results()


def test_runs_of_different_judges_do_not_share_a_table(hand, tmp_path, cli):
    other = tmp_path / "other"
    other.mkdir()
    for file in hand.path.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    from aligner_bench.store.tables import write_table

    judges = [{**row, "identity": "f" * 64} for row in hand.rows("judges")]
    write_table("judges", judges, other / "judges.parquet")
    done = cli("leaderboard", hand.path, other)
    assert done.returncode == 2
    assert "different judges must not share a table" in done.stderr
    assert cli("leaderboard", hand.path, hand.path).returncode == 0


def test_hostile_outputs_keep_their_text_and_do_no_harm(tmp_path, cli):
    path = write_experiment(tmp_path, HOSTILE, HOSTILE[::-1], [["yes"]] * len(HOSTILE))
    done = cli("run", path, "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    run = aligner_bench.Run(tmp_path / "out")
    texts = {r["prompt_id"]: r["text"] for r in run.rows("responses") if r["system"] == "base"}
    for i, text in enumerate(HOSTILE):
        assert texts[f"p{i}"] == text.replace("\ud800", "\ufffd")
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "window.hacked" not in html  # answers are in the compressed payload, or escaped


def test_a_new_system_reuses_every_upstream_answer(hand, tmp_path):
    path = tmp_path / "exp.yaml"
    path.write_text(
        path.read_text().replace(
            "judges:\n", "  twice: {upstream: up, corrector: {kind: identity}}\njudges:\n"
        )
    )
    run = aligner_bench.run(Experiment.load(path), tmp_path / "out2", ledger=tmp_path / "l.sqlite")
    assert run.manifest["ledger"]["reused"]["complete"] == 19
    assert run.manifest["ledger"]["done"].get("complete", 0) == 1  # the failed item, tried again
    assert run.manifest["model_loads"] == {"fixed": 1}


def test_a_finished_run_is_not_done_again_unless_a_file_of_it_changed(tmp_path):
    target, options = tmp_path / "out", {"ledger": tmp_path / "ledger.sqlite"}
    path = write_experiment(tmp_path, ["yes", "no"], ["yes", "yes"], [["yes"], ["yes"]])
    experiment = Experiment.load(path)
    first = aligner_bench.run(experiment, target, **options)
    assert not first.nothing_to_do
    stamp = (target / "report.html").stat().st_mtime_ns
    again = aligner_bench.run(experiment, target, **options)
    assert again.nothing_to_do
    assert again.results() == first.results()
    assert (target / "report.html").stat().st_mtime_ns == stamp
    (target / "leaderboard.json").write_text("{}")
    repaired = aligner_bench.run(experiment, target, **options)
    assert not repaired.nothing_to_do
    assert repaired.manifest["ledger"]["done"] == {}
    assert aligner_bench.Run(target).results() == first.results()


def test_a_run_with_a_failed_item_is_tried_again(tmp_path):
    options = {"ledger": tmp_path / "ledger.sqlite"}
    experiment = Experiment.load(write_experiment(tmp_path, ["yes", "no"], ["yes", None], [["yes"], ["yes"]]))
    aligner_bench.run(experiment, tmp_path / "out", **options)
    assert not aligner_bench.run(experiment, tmp_path / "out", **options).nothing_to_do


def test_blocks_change_nothing(tmp_path, monkeypatch):
    from aligner_bench.runner import execute

    texts = ["yes", "no", "yes it is", "no", "yes", "", "perhaps"]
    path = write_experiment(tmp_path, texts, texts[::-1], [["yes"]] * 7)
    whole = aligner_bench.run(Experiment.load(path), tmp_path / "a", ledger=tmp_path / "a.sqlite")
    monkeypatch.setattr(execute, "BLOCK", 3)
    parts = aligner_bench.run(Experiment.load(path), tmp_path / "b", ledger=tmp_path / "b.sqlite")
    assert (tmp_path / "a/leaderboard.json").read_bytes() == (tmp_path / "b/leaderboard.json").read_bytes()

    def rows(run):
        return sorted(run.rows("responses"), key=lambda row: (row["system"], row["prompt_id"]))

    assert [r | {"seconds": 0} for r in rows(whole)] == [r | {"seconds": 0} for r in rows(parts)]
