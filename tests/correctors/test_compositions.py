"""Correctors made of correctors, on toy aligners of known effect; nested ones in an experiment file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from aligner_bench.correctors.base import CorrectorSpec, correct, workload
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.runs import Run
from aligner_bench.store.traces import read_trace
from tests.correctors.toys import Tables, items, steps

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
parse = TypeAdapter(CorrectorSpec).validate_python
SCORES = {
    "i": {"0": 0.1, "1": 0.4, "2": 0.6, "3": 0.9},
    "j": {"0": 0.9, "1": 0.4, "2": 0.3, "3": 0.2},
    "truth": {"0": 0.0, "1": 0.3, "2": 0.9, "3": 0.6},
}
UP = {"up": {"0": "1", "1": "2", "2": "3", "3": "3"}, "down": {"0": "0", "1": "0", "2": "1", "3": "2"}}
UP["far"] = {"0": "2", "1": "3", "2": "3", "3": "3"}


def plain(model):
    return {"kind": "aligner", "model": model, "template": "ngweta"}


def run(spec, texts, **more):
    toys = Tables(SCORES, UP)
    return correct(parse(spec), items(texts, **more), toys), toys


def test_chain_gives_each_link_what_the_one_before_made():
    [answer], _ = run(
        {"kind": "chain", "correctors": [plain("far"), plain("down"), {"kind": "identity"}]}, "0"
    )
    assert steps(answer) == [
        ("upstream", "start", "0"),
        ("far", "correct", "2"),
        ("down", "correct", "1"),
        ("identity", "copy", "1"),
    ]
    assert [step.step for step in answer.trace] == [0, 1, 2, 3]
    assert answer.calls == 3


def test_repeat():
    [answer], _ = run({"kind": "repeat", "corrector": plain("up"), "times": 3}, "0")
    assert [step.text for step in answer.trace] == ["0", "1", "2", "3"]


def test_gated_acts_only_below_its_threshold_and_says_what_it_let_pass():
    (low, even), toys = run(
        {"kind": "gated", "inspector": "i", "threshold": 0.6, "corrector": plain("up")}, "12"
    )
    assert steps(low)[1:] == [("up", "correct", "2")]
    assert dict(low.trace[-1].scores) == {"i": 0.6}
    assert steps(even)[1:] == [("gate i", "skip", "2")]  # exactly at the threshold
    assert toys.calls == {"up": 1}
    assert toys.scored.total() == 3  # two at the gate, one after the rewrite


def test_routed_by_category_with_and_without_a_default():
    spec = {"kind": "routed", "by": "category", "routes": {"law": plain("up"), "art": plain("far")}}
    categories = ["law", "art", "sport"]
    answers, _ = run(spec, "000", categories=categories)
    assert [steps(a)[-1] for a in answers] == [
        ("law/up", "correct", "1"),
        ("art/far", "correct", "2"),
        ("no route", "skip", "0"),
    ]
    answers, _ = run({**spec, "default": {"kind": "identity"}}, "000", categories=categories)
    assert steps(answers[2])[-1] == ("default/identity", "copy", "0")


def test_routed_by_the_lowest_score_with_ties_in_declared_order():
    spec = {"kind": "routed", "by": "lowest_score", "routes": {"j": plain("down"), "i": plain("up")}}
    answers, toys = run(spec, "013")
    assert [steps(a)[-1][:2] for a in answers] == [
        ("i/up", "correct"),
        ("j/down", "correct"),
        ("j/down", "correct"),
    ]
    assert dict(answers[0].trace[-1].scores) == {"i": 0.4, "j": 0.4}
    answers, toys = run({**spec, "threshold": 0.2}, "013")
    assert [steps(a)[-1][1] for a in answers] == ["correct", "skip", "skip"]
    assert toys.calls == {"up": 1}


@pytest.mark.parametrize(("by", "winner"), [("mean", "far"), ("min", "up")])
def test_parallel_by_scores(by, winner):
    pick = {"by": by, "inspectors": ["i", "j"]}
    candidates = {"up": plain("up"), "far": plain("far")}
    [answer], toys = run({"kind": "parallel", "correctors": candidates, "pick": pick, "keep": False}, "0")
    assert steps(answer)[1:] == [
        ("up", "candidate", "1"),
        ("far", "candidate", "2"),
        (winner, "pick", UP[winner]["0"]),
    ]
    assert (answer.calls, answer.prompt_tokens, answer.seconds) == (3, 14, 2.0)
    assert toys.scored.total() == 6


def test_parallel_ties_keep_the_first_and_the_answer_as_it_came():
    pick = {"by": "mean", "inspectors": ["i"]}
    both = {"up": plain("up"), "again": plain("up")}
    [answer], _ = run({"kind": "parallel", "correctors": both, "pick": pick}, "0")
    assert steps(answer)[-1] == ("up", "pick", "1")
    [answer], _ = run({"kind": "parallel", "correctors": both, "pick": pick}, "3")  # 3 stays 3
    assert steps(answer)[-1] == ("unchanged", "pick", "3")
    [answer], _ = run({"kind": "parallel", "correctors": both, "pick": pick, "keep": False}, "3")
    assert steps(answer)[-1] == ("up", "pick", "3")


def test_parallel_by_a_judge_in_both_orders():
    judge = {"by": "judge", "judge": {"kind": "logprob", "model": "judge"}}
    spec = {"kind": "parallel", "correctors": {"up": plain("up"), "far": plain("far")}, "pick": judge}
    answers, _ = run(spec, "012")
    # Truth: 0 -> 2 (0.9) beats 1 (0.3); 1 -> 2 beats 3; 2 stays, for 3 is worse.
    assert [steps(a)[-1] for a in answers] == [
        ("far", "pick", "2"),
        ("up", "pick", "2"),
        ("unchanged", "pick", "2"),
    ]


def test_parallel_by_a_judge_keeps_the_best_so_far_at_a_tie():
    judge = {"by": "judge", "judge": {"kind": "logprob", "model": "judge"}}
    spec = parse({"kind": "parallel", "correctors": {"a": plain("a"), "b": plain("b")}, "pick": judge})
    level = {"truth": {"start": 0.2, "one": 0.6, "two": 0.6, "same": 0.2}}
    toys = Tables(level, {"a": {"start": "one", "same": "start"}, "b": {"start": "two", "same": "same"}})
    first, second = correct(spec, items(["start", "same"]), toys)
    assert steps(first)[-1] == ("a", "pick", "one")
    assert steps(second)[-1] == ("unchanged", "pick", "same")


def test_parallel_where_candidates_fail():
    pick = {"by": "mean", "inspectors": ["i"]}
    spec = {"kind": "parallel", "correctors": {"broken": plain("broken"), "up": plain("up")}, "pick": pick}
    [answer], _ = run(spec, "0")
    assert (answer.text, answer.status, answer.calls) == ("1", "ok", 3)
    [answer], _ = run({**spec, "correctors": {"broken": plain("broken")}}, "0")
    assert (answer.status, answer.error, answer.calls) == ("error", "down", 2)


def test_compositions_nest_and_know_all_that_is_in_them():
    spec = {
        "kind": "chain",
        "correctors": [
            {
                "kind": "squad",
                "threshold": 0.5,
                "members": {
                    "one": {"inspector": "i", "aligner": plain("up")},
                    "two": {"inspector": "j", "aligner": plain("down")},
                },
            },
            {
                "kind": "gated",
                "inspector": "i",
                "threshold": 0.5,
                "corrector": {
                    "kind": "parallel",
                    "correctors": {
                        "far": plain("far"),
                        "twice": {"kind": "repeat", "corrector": plain("up"), "times": 2},
                    },
                    "pick": {"by": "judge", "judge": {"kind": "logprob", "model": "judge"}},
                },
            },
        ],
    }
    parsed = parse(spec)
    assert parsed.used("model") == {"up", "down", "far", "judge"}
    assert parsed.used("inspector") == {"i", "j"}
    assert sorted(use.name for use in parsed.uses() if use.what == "model") == [
        "down",
        "far",
        "judge",
        "up",
        "up",
    ]
    [answer], toys = run(spec, "0")
    # i is low: up makes 1; now j is low: down makes 0; the gate finds i low; far and twice tie at 2.
    assert steps(answer)[1:] == [
        ("one", "correct", "1"),
        ("two", "correct", "0"),
        ("far", "candidate", "2"),
        ("twice", "candidate", "2"),
        ("far", "pick", "2"),
    ]
    assert answer.calls == 1 + 2 + 3 + 2  # the last two by the judge that picked, once in each order
    assert (
        toys.scored["i", "q", "0"] == 2
    )  # at the start, and of the text that came back; the gate asks no more
    counted = {(w.stage, w.name): (w.items, w.at_most) for w in workload(parsed)}
    assert counted["score", "i"] == (3 + 2, True)
    assert counted["complete", "up"] == (1 + 2, True)
    assert counted["judge", "pick by logprob"] == (2, True)


def test_plain_work_is_counted_exactly():
    chain = parse(
        {
            "kind": "chain",
            "correctors": [plain("up"), {"kind": "repeat", "corrector": plain("up"), "times": 4}],
        }
    )
    assert [tuple(w) for w in workload(chain)] == [("complete", "up", 5, False)]
    loop = {
        "one": {"inspector": "i", "aligner": plain("up")},
        "two": {"inspector": "j", "aligner": plain("far")},
    }
    squad = parse({"kind": "squad", "order": "loop", "members": loop, "max_steps": 3})
    routed = parse({"kind": "routed", "by": "category", "routes": {"x": plain("up"), "y": plain("up")}})
    assert [tuple(w) for w in workload(routed)] == [("complete", "up", 1, True)]
    assert {(w.name, w.items) for w in workload(squad)} == {("i", 4), ("j", 4), ("up", 3), ("far", 3)}


def test_no_corrector_may_ask_the_references():
    with pytest.raises(ValidationError, match="knows the right answers"):
        parse(
            {
                "kind": "parallel",
                "correctors": {"a": plain("a")},
                "pick": {"by": "judge", "judge": {"kind": "reference"}},
            }
        )


def test_errors_pass_through_every_composition():
    from aligner_bench.core.types import Answer

    failed = items("0")[0]._replace(answer=Answer("", "error", "error", error="gone"))
    pick = {"by": "mean", "inspectors": ["i"]}
    for spec in (
        {"kind": "chain", "correctors": [plain("up")]},
        {"kind": "repeat", "corrector": plain("up"), "times": 2},
        {"kind": "gated", "inspector": "i", "corrector": plain("up")},
        {"kind": "routed", "by": "lowest_score", "routes": {"i": plain("up")}},
        {"kind": "parallel", "correctors": {"up": plain("up")}, "pick": pick},
    ):
        toys = Tables(SCORES, UP)
        [answer] = correct(parse(spec), [failed], toys)
        assert (answer.status, answer.error) == ("error", "gone")
        assert not toys.calls
        assert not toys.scored


@pytest.mark.slow
def test_every_composition_with_a_real_model(models, cli, tmp_path):
    """The packaged tour: SmolLM2 upstream and in every corrector, three prompts."""
    out = tmp_path / "out"
    args = ("compositions", "--limit", "3", "--out", out, "--ledger", tmp_path / "l.sqlite")
    done = cli("run", *args)
    assert done.returncode == 0, done.stderr
    run = Run(out)
    traces = {(r["system"], r["prompt_id"]): read_trace(r["trace"]) for r in run.rows("responses")}
    acts = {}
    for (system, _), trace in traces.items():
        acts.setdefault(system, set()).update(move.action for move in trace.moves)
    assert acts["chain"] == acts["repeat"] == {"correct"}
    assert acts["parallel"] == acts["judged"] == {"candidate", "pick"}
    for system in ("gated", "routed", "squad-batch", "squad-careful", "squad-loop"):
        assert acts[system] <= {"correct", "skip", "reject"}
    rows = run.rows("responses")
    assert {r["status"] for r in rows} <= {"ok", "truncated", "empty"}
    for row in rows:
        if row["system"] in ("chain", "repeat", "parallel"):
            assert row["calls"] == 3
    for (system, _), trace in traces.items():
        if system == "squad-batch":
            assert len(trace.moves) == 2
            assert len({move.batch for move in trace.moves}) == 1
    results = run.results()
    assert {actor.system for actor in results.actors} == set(acts) - {"base"}
    assert cli("verify", out).returncode == 0
    # A second run asks no model again and gives the same bytes.
    board = (out / "leaderboard.json").read_bytes()
    again = cli("run", *args)
    assert again.returncode == 0, again.stderr
    assert (out / "leaderboard.json").read_bytes() == board
    assert "work items: 0 computed" in again.stdout


def test_a_smoke_run_swaps_rankers_however_deep(tmp_path):
    text = (EXPERIMENTS / "compositions.yaml").read_text()
    old = "judge: {kind: logprob, model: smollm2}"
    assert text.count(old) == 1
    (tmp_path / "exp.yaml").write_text(text.replace(old, "judge: {kind: pairrm}"))
    experiment = Experiment.load(tmp_path / "exp.yaml")
    assert experiment.systems["judged"].corrector.pick.judge.model == "llm-blender/PairRM"
    assert experiment.smoke().systems["judged"].corrector.pick.judge.model == "tiny-pair-ranker"


def test_the_plan_counts_what_is_in_a_composition(cli):
    done = cli("plan", "compositions")
    assert done.returncode == 0, done.stderr
    assert "squad-loop" in done.stdout
    assert "pick by logprob" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "corrector: {kind: aligner, model: smollm2}}",
            "corrector: {kind: aligner, model: smollm3}}",
            "smollm2",
        ),
        (
            "inspectors: [factuality, helpful]}\n  # The same",
            "inspectors: [factual]}\n  # The same",
            "factuality",
        ),
        (
            "template: prompted-helpful}\n  # The same one",
            "template: prompted-helpfull}\n  # The same one",
            "prompted-helpful",
        ),
        ("model: smollm2}}\n  # The published", "model: smoll}}\n  # The published", "smollm2"),
        ("kind: routed\n      by: lowest_score", "kind: routed\n      by: luck", "by"),
        ("order: batch\n", "order: batches\n", "order"),
    ],
)
def test_a_wrong_name_deep_inside_is_one_clear_line(cli, tmp_path, old, new, words):
    text = (EXPERIMENTS / "compositions.yaml").read_text()
    assert text.count(old) == 1
    (tmp_path / "wrong.yaml").write_text(text.replace(old, new))
    done = cli("plan", tmp_path / "wrong.yaml")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
