"""Numbers about steps, compared with results computed by hand on traces of toy squads."""

from __future__ import annotations

import hashlib
import json

import pytest

from aligner_bench.core.types import Step
from aligner_bench.correctors.base import correct
from aligner_bench.store.tables import write_table
from aligner_bench.verify.verify import verify
from tests.correctors.handmade import make_run, prompt_rows, response_rows
from tests.correctors.toys import Tables, items, squad

# a lifts its own score by 0.4 and takes 0.2 from b's; b lifts both by 0.3; nobody touches c's.
SCORES = {
    "a": {"s": 0.2, "a": 0.6, "ab": 0.9, "fine": 0.9, "b": 0.5},
    "b": {"s": 0.6, "a": 0.4, "ab": 0.7, "fine": 0.8, "b": 0.9},
    "c": dict.fromkeys(("s", "a", "ab", "fine", "b"), 0.7),
}
MOVES = {"a": {"s": "a"}, "b": {"a": "ab"}, "c": {}}


def made(tmp_path, spec, texts, references=None, tables=None):
    given = items(texts)
    answers = correct(spec, given, tables or Tables(SCORES, MOVES))
    rows = response_rows("squad", "squad", given, answers)
    return make_run(tmp_path / "run", prompt_rows(given, references), rows)


@pytest.fixture
def run(tmp_path):
    """Twelve answers that go s -> a -> ab, eight that are fine from the start."""
    return made(tmp_path, squad("abc"), ["s"] * 12 + ["fine"] * 8)


def by(rows, *names):
    return {tuple(getattr(row, name) for name in names): row for row in rows}


def test_the_effect_matrix(run):
    cells = by(run.results().effects, "actor", "inspector")
    assert {key: round(cell.change.value, 6) for key, cell in cells.items()} == {
        ("a", "a"): 0.4,
        ("a", "b"): -0.2,
        ("a", "c"): 0,
        ("b", "a"): 0.3,
        ("b", "b"): 0.3,
        ("b", "c"): 0,
    }
    assert all(cell.change.n == 12 for cell in cells.values())
    assert [cell.own for cell in cells.values()] == [True, False, False, False, True, False]


def test_verdicts_follow_intervals_and_holm(tmp_path):
    scores = {"a": {}, "b": {}, "c": {}}
    moves = {"a": {}, "b": {}}
    texts = []
    for i in range(40):  # a: +0.3 and up; b rises with it; c trembles around 0
        before, after = f"{i}", f"{i}!"
        texts.append(before)
        moves["a"][before] = after
        scores["a"] |= {before: 0.2, after: 0.5 + i / 200}
        scores["b"] |= {before: 0.6, after: 0.7 + i / 400}
        scores["c"] |= {before: 0.7, after: 0.7 + (0.01 if i % 2 else -0.01)}
    spec = squad("abc")
    results = made(tmp_path, spec, texts, tables=Tables(scores, moves | {"c": {}})).results()
    cells = by(results.effects, "actor", "inspector")
    assert [cells["a", name].verdict for name in "abc"] == ["raises", "raises", "no_effect"]
    assert cells["a", "b"].p_holm >= cells["a", "b"].p_value
    assert by(results.actors, "actor")["a",].verdict == "synergy"
    assert by(results.actors, "actor")["b",].verdict == "alone"  # it never rewrote anything


def test_conflict(tmp_path):
    scores = {"a": {}, "b": {}}
    moves = {"a": {}, "b": {}}
    for i in range(40):
        moves["a"][f"{i}"] = f"{i}!"
        scores["a"] |= {f"{i}": 0.2, f"{i}!": 0.5 + i / 200}
        scores["b"] |= {f"{i}": 0.9 - i / 400, f"{i}!": 0.6}
    run = made(tmp_path, squad("ab"), list(moves["a"]), tables=Tables(scores, moves))
    assert by(run.results().actors, "actor")["a",].verdict == "conflict"


def test_who_acted_and_who_skipped(run):
    actors = by(run.results().actors, "actor")
    counts = {
        key[0]: (a.inspector, a.n_acted, a.n_skipped, a.n_rejected, a.n_prompts) for key, a in actors.items()
    }
    assert counts == {"a": ("a", 12, 8, 0, 20), "b": ("b", 12, 8, 0, 20), "c": ("c", 0, 20, 0, 20)}
    assert actors["a",].touched.value == 0.6


def test_rejected_rewrites_count_as_effects_but_not_as_acts(tmp_path):
    run = made(
        tmp_path,
        squad("ab", accept="if_min_score_improves"),
        ["s"] * 3,
        tables=Tables({"a": {"s": 0.4, "x": 0.9}, "b": {"s": 0.6, "x": 0.1}}, {"a": {"s": "x"}}),
    )
    results = run.results()
    actors = by(results.actors, "actor")
    assert (actors["a",].n_acted, actors["a",].n_rejected, actors["a",].touched.value) == (0, 3, 1.0)
    assert by(results.effects, "actor", "inspector")["a", "b"].change.value == pytest.approx(-0.5)
    assert {row["text"] for row in run.rows("responses")} == {"s"}
    [gain, *_] = results.gains
    assert (gain.n_changed, gain.lowest.value) == (0, 0.0)


def test_gains_by_step(run):
    first, second, third = run.results().gains
    assert (first.n_changed, second.n_changed, third.n_changed) == (12, 12, 0)
    assert first.lowest.value == pytest.approx(12 * 0.2 / 20)  # 0.2 (a) -> 0.4 (b)
    assert second.lowest.value == pytest.approx(12 * 0.3 / 20)  # 0.4 (b) -> 0.7
    assert third.lowest.value == 0.0
    assert first.mean.value == pytest.approx(12 * (0.2 / 3) / 20)
    assert first.edit_ratio.value == 0.6  # one token of one, in 12 of 20


def test_orders_and_where_they_led(run):
    common, other = run.results().orders
    assert (common.order, common.share.value) == ("a > b > c", 0.6)
    assert common.end_lowest.value == pytest.approx(0.7)
    assert (other.order, other.share.value, other.share.n) == ("c > b > a", 0.4, 20)


def test_best_intermediate_text(tmp_path):
    """The squad ends with a worse text than it had on the way; the references like yet another one."""
    scores = {"a": {"s": 0.3, "up": 0.8, "down": 0.45}, "b": {"s": 0.45, "up": 0.48, "down": 0.6}}
    tables = Tables(scores, {"a": {"s": "up"}, "b": {"up": "down"}})
    references = {f"p{i}": ["up"] for i in range(4)}
    [oracle] = made(tmp_path, squad("ab"), ["s"] * 4, references, tables).results().oracles
    assert oracle.end_lowest.value == pytest.approx(0.45)
    assert oracle.best_lowest.value == pytest.approx(0.48)
    assert oracle.gap.value == pytest.approx(0.03)
    assert (oracle.end_right.value, oracle.best_right.value, oracle.right_gap.value) == (0.0, 1.0, 1.0)


def test_examples_are_chosen_by_rule_and_know_the_thresholds(run):
    examples = by(run.results().examples, "reason")
    assert examples["the largest rise",].prompt_id == "p0"
    assert examples["the least rise",].prompt_id == "p19"  # of p12 to p19, which gain nothing
    assert [point.actor for point in examples["the largest rise",].points] == ["upstream", "a", "b", "c"]
    assert examples["the largest rise",].thresholds == {"a": 0.5, "b": 0.5, "c": 0.5}


def test_the_table_of_steps(run):
    assert len(run.trajectories()) == 20 * 4
    way = [row for row in run.rows("trajectories") if row["prompt_id"] == "p0"]
    assert [(w["step"], w["actor"], w["action"]) for w in way] == [
        (0, "upstream", "start"),
        (1, "a", "correct"),
        (2, "b", "correct"),
        (3, "c", "skip"),
    ]
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in ("s", "a", "ab", "ab")]
    assert [w["hash_after"] for w in way] == hashes
    assert [w["hash_before"] for w in way] == [None, *hashes[:3]]
    assert json.loads(way[1]["scores_before"]) == {"a": 0.2, "b": 0.6, "c": 0.7}
    assert (
        json.loads(way[1]["scores_after"])
        == json.loads(way[2]["scores_before"])
        == {"a": 0.6, "b": 0.4, "c": 0.7}
    )
    assert list(way[1]["order"]) == ["a", "b", "c"]


def test_verify_finds_a_step_that_no_trace_has(run):
    assert verify(run.path).ok
    rows = run.rows("trajectories")
    write_table(
        "trajectories", [{**rows[0], "actor": "nobody"}, *rows[1:]], run.path / "trajectories.parquet"
    )
    found = verify(run.path)
    assert found.differences == [
        "trajectories.parquet: its steps differ from the traces in responses.parquet"
    ]


def test_traces_of_older_runs_are_read(tmp_path):
    given = items(["s"])
    [answer] = correct(squad("abc"), given, Tables(SCORES, MOVES))
    rows = response_rows("squad", "squad", given, [answer])
    kept = ("step", "actor", "action", "text", "scores")
    rows[0]["trace"] = json.dumps([{k: step[k] for k in kept} for step in json.loads(rows[0]["trace"])])
    results = make_run(tmp_path / "run", prompt_rows(given), rows).results()
    assert {actor.actor: actor.n_acted for actor in results.actors} == {"a": 1, "b": 1, "c": 0}
    assert results.orders == []


def test_a_step_omits_empty_fields():
    assert Step(0, "upstream", "start", "x").to_dict() == {
        "step": 0,
        "actor": "upstream",
        "action": "start",
        "text": "x",
        "scores": {},
    }


@pytest.mark.parametrize(
    ("column", "words"),
    [("text", "does not end with the answer"), ("upstream", "does not begin with the upstream's answer")],
)
def test_verify_finds_an_answer_that_its_trace_did_not_make(run, column, words):
    rows = run.rows("responses")
    rows[3][column] = "another"
    write_table("responses", rows, run.path / "responses.parquet")
    assert any(f"squad on s/p3 {words}" in line for line in verify(run.path).differences)


def test_half_characters_in_answers_keep_their_hash(tmp_path):
    run = made(
        tmp_path,
        squad("a"),
        ["x\ud800"],
        tables=Tables({"a": {"x\ud800": 0.1, "y": 1}}, {"a": {"x\ud800": "y"}}),
    )
    [start, _] = run.rows("trajectories")
    stored = run.rows("responses")[0]["upstream"]
    assert stored == "x\ufffd"
    assert start["hash_after"] == hashlib.sha256(stored.encode()).hexdigest()
    assert verify(run.path).ok


@pytest.mark.parametrize(("sign", "verdict"), [(1, "raises"), (-1, "lowers")])
def test_an_effect_that_holm_does_not_leave_standing_is_undecided(sign, verdict, tmp_path):
    """The interval of one cell excludes 0, yet of three cells one would by chance (p = 0.03, not 0.06)."""
    from scipy import stats

    moves, scores = {}, {"a": {}, "b": {}, "c": {}}
    changes = [sign * (0.053 + (0.1 if i % 2 else -0.1)) for i in range(20)]
    for i, change in enumerate(changes):
        before, after = f"{i}", f"{i}!"
        moves[before] = after
        scores["a"] |= {before: 0.2, after: 0.6 + i / 200}
        scores["b"] |= {before: 0.7, after: 0.7 + change}
        scores["c"] |= {before: 0.7, after: 0.7 + (0.1 if i % 4 < 2 else -0.1)}
    found = made(
        tmp_path, squad("abc", {"b": 0.0, "c": 0.0}), list(moves), tables=Tables(scores, {"a": moves})
    )
    results = found.results()
    cells = by(results.effects, "actor", "inspector")
    assert cells["a", "a"].verdict == "raises"
    cell = cells["a", "b"]
    assert cell.p_value == pytest.approx(stats.ttest_1samp(changes, 0).pvalue)
    assert cell.p_holm == pytest.approx(2 * cell.p_value)
    assert cell.p_value < 0.05 < cell.p_holm
    assert (cell.change.lower > 0) if verdict == "raises" else (cell.change.upper < 0)
    assert cell.verdict == "undecided"
    assert by(results.actors, "actor")["a",].verdict == "undecided"


def test_no_effect_needs_the_whole_interval_within_the_band(tmp_path):
    """A mean of 0 with an interval that reaches beyond 0.05 on one side is undecided."""
    moves, scores = {}, {"a": {}, "b": {}}
    for i in range(20):
        before, after = f"{i}", f"{i}!"
        moves[before] = after
        scores["a"] |= {before: 0.2, after: 0.6}
        scores["b"] |= {before: 0.7, after: 0.73 + (0.1 if i % 2 else -0.1)}
    found = made(tmp_path, squad("ab", {"b": 0.0}), list(moves), tables=Tables(scores, {"a": moves}))
    cell = by(found.results().effects, "actor", "inspector")["a", "b"]
    assert cell.change.lower >= -0.05
    assert cell.change.upper > 0.05
    assert cell.verdict == "undecided"
