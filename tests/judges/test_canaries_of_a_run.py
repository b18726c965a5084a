"""Canaries as part of a run: the verdicts stay, the report shows them, verify counts them again."""

from __future__ import annotations

import math

import pytest

import aligner_bench
from aligner_bench.audits.judge import audit
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.judges.canaries import CANARIES
from aligner_bench.runner.plan import make_plan
from aligner_bench.runner.workbench import Workbench
from aligner_bench.store.ledger import Ledger
from aligner_bench.store.tables import read_table, write_table
from aligner_bench.verify.verify import verify
from tests.engines.servers import as_json, chat_reply, serving
from tests.test_replayed_run import write_experiment


def longest_wins(path, body, headers):
    """A judge that takes the longer answer."""
    text = body["messages"][-1]["content"]
    first, second = text.split("Answer m: ")[1].split("\n\nReply with")[0].split("\n\nAnswer M: ")
    longer = 0.5 if len(first) == len(second) else 0.9 if len(first) > len(second) else 0.1
    tops = [
        {"token": t, "logprob": math.log(p), "bytes": None} for t, p in (("m", longer), ("M", 1 - longer))
    ]
    token = {"token": "m", "logprob": tops[0]["logprob"], "bytes": None, "top_logprobs": tops}
    return as_json(chat_reply("m", logprobs={"content": [token]}))


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    home = tmp_path_factory.mktemp("canaries")
    path = write_experiment(home, ["no"] * 4, ["yes indeed"] * 4, [["yes"]] * 4)
    with serving(longest_wins) as url:
        text = path.read_text().replace(
            "systems:\n", f"  long: {{engine: openai, model: long, base_url: '{url}'}}\nsystems:\n"
        )
        text = text.replace(
            "facts: {kind: reference}\n",
            "facts: {kind: reference}\n  length: {kind: logprob, model: long, audit_pairs: 9}\n",
        )
        path.write_text(text + "canaries: true\n")
        experiment = Experiment.load(path)
        run = aligner_bench.run(experiment, home / "out", ledger=home / "l.sqlite")
        with Ledger(home / "l.sqlite") as book:
            bench = Workbench(experiment.anchored_models(), experiment.inspectors, book)
            asked = audit(experiment, "length", bench, 9)
        yield run, asked, experiment


def test_a_run_keeps_what_judge_audit_says(tried):
    run, asked, _ = tried
    rows = run.results().canaries
    assert [row.name for row in rows] == [canary.name for canary in CANARIES]
    assert {row.judge for row in rows} == {"length"}  # the reference judge has no taste to try
    assert {row.name: (row.win_rate, row.ok) for row in rows} == {
        found.name: (found.win_rate, found.ok) for found in asked.canaries
    }
    by_name = {row.name: row for row in rows}
    assert not by_name["padding"].ok
    assert by_name["padding"].win_rate.value == pytest.approx(0.9)
    assert any("length failed canary checks" in line and "padding (90 %)" in line
               for line in run.results().warnings)  # fmt: skip
    html = (run.path / "report.html").read_text("utf-8")
    assert "Canary systems" in html
    assert '<span class="chip bad">failed</span>' in html


def test_verify_counts_canaries_again(tried, tmp_path):
    run, _, _ = tried
    assert verify(run.path).ok
    for file in run.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    rows = read_table("canaries", tmp_path / "canaries.parquet")
    for row in rows:
        if row["canary"] == "padding":
            row["preference"] = 0.1
    write_table("canaries", rows, tmp_path / "canaries.parquet")
    assert any("canaries[" in line for line in verify(tmp_path).differences)


def test_a_plan_counts_canaries_and_without_them_there_are_none(tried):
    _, _, experiment = tried
    judge = make_plan(experiment).stages[-1]
    plain = make_plan(experiment.model_copy(update={"canaries": False})).stages[-1]
    assert judge.expected.calls - plain.expected.calls == 2 * len(CANARIES) * 9
