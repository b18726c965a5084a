"""The published squad, written a second time as plainly as it goes, and what must not change an outcome."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aligner_bench.core.types import Answer, Decoding
from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.base import correct
from tests.correctors.toys import Tables, items, squad, steps

NAMES = ("factuality", "ethical", "helpful")
TEXTS = [f"t{i}" for i in range(8)]
eighths = st.integers(0, 8).map(lambda k: k / 8)  # sums of eighths are exact, so ties are ties
tables = st.tuples(
    st.fixed_dictionaries({n: st.fixed_dictionaries(dict.fromkeys(TEXTS, eighths)) for n in NAMES}),
    st.fixed_dictionaries(
        {n: st.fixed_dictionaries({t: st.sampled_from(TEXTS) for t in TEXTS}) for n in NAMES}
    ),
)
rows = st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(TEXTS)), min_size=1, max_size=24)


def published(data, scores, moves, batch_size, threshold=0.5):
    """papers.md 3.4. Returns row -> (batch number, order, steps of (who, acted, before, after))."""
    ordered = sorted(range(len(data)), key=lambda i: (data[i][0], data[i][1], i))
    found = {}
    for number, at in enumerate(range(0, len(ordered), batch_size)):
        block = ordered[at : at + batch_size]
        means = {k: sum(scores[k][data[i][1]] for i in block) / len(block) for k in NAMES}
        order = sorted(NAMES, key=lambda k: means[k])
        for i in block:
            y, trace = data[i][1], []
            for k in order:
                acted = scores[k][y] < threshold
                after = moves[k][y] if acted else y
                trace.append(
                    (k, acted, {n: scores[n][y] for n in NAMES}, {n: scores[n][after] for n in NAMES}, after)
                )
                y = after
            found[i] = (number, order, trace)
    return found


def as_items(data):
    return [
        Item(f"p{i:02}", x, Answer(y, "ok", "stop", 1, 4, 2), Decoding(), "s")
        for i, (x, y) in enumerate(data)
    ]


@settings(max_examples=200, deadline=None)
@given(rows, tables, st.sampled_from([1, 2, 5, 64]))
def test_batch_order_is_the_published_algorithm(data, made, batch_size):
    scores, moves = made
    answers = correct(
        squad(NAMES, order="batch", batch_size=batch_size), as_items(data), Tables(scores, moves)
    )
    expected = published(data, scores, moves, batch_size)
    for i, answer in enumerate(answers):
        number, order, trace = expected[i]
        assert dict(answer.trace[0].scores) == {n: scores[n][data[i][1]] for n in NAMES}
        ours = [
            (s.actor, s.action == "correct", dict(before.scores), dict(s.scores), s.text)
            for before, s in zip(answer.trace, answer.trace[1:], strict=False)
        ]
        assert ours == trace
        assert all(list(s.order) == order for s in answer.trace[1:])
        assert all(s.batch.startswith(f"{number}-") for s in answer.trace[1:])
        assert answer.text == trace[-1][-1]


@settings(max_examples=60, deadline=None)
@given(
    rows,
    tables,
    st.sampled_from(["per_sample", "dataset", "loop"]),
    st.sampled_from(["always", "if_own_score_improves", "if_min_score_improves"]),
    st.randoms(use_true_random=False),
)
def test_outcomes_do_not_depend_on_the_rows_order_or_on_who_shares_a_call(data, made, order, accept, dice):
    spec = squad(NAMES, order=order, accept=accept)
    whole = correct(spec, as_items(data), Tables(*made))
    shuffled = list(range(len(data)))
    dice.shuffle(shuffled)
    again = correct(spec, [as_items(data)[i] for i in shuffled], Tables(*made))
    assert [again[shuffled.index(i)] for i in range(len(data))] == whole
    if order != "dataset":  # whose order is made by all rows of a suite
        alone = [correct(spec, [item], Tables(*made))[0] for item in as_items(data)]
        assert alone == whole


@given(rows, tables)
def test_no_text_of_a_row_is_scored_twice_and_no_rewrite_is_made_for_nothing(data, made):
    toys = Tables(*made)
    answers = correct(squad(NAMES), as_items(data), toys)
    rewrites = sum(step.action == "correct" for answer in answers for step in answer.trace)
    assert sum(toys.calls.values()) == rewrites
    assert sum(toys.scored.values()) == 3 * (len(data) + rewrites)
    assert max(toys.waves.values(), default=0) <= 3  # one call a member and wave, however many rows


def test_suites_never_share_an_order():
    scores = {"a": {"x": 0.1, "y": 0.4, "z": 0.9}, "b": {"x": 0.4, "y": 0.1, "z": 0.9}}
    moves = {name: dict.fromkeys("xyz", "z") for name in "ab"}
    mixed = [*items("xx", suite="one"), *items("yy", suite="two")]
    for order in ("dataset", "batch"):
        answers = correct(squad("ab", order=order), mixed, Tables(scores, moves))
        assert [answer.trace[1].actor for answer in answers] == ["a", "a", "b", "b"]
        assert len({answer.trace[1].batch for answer in answers}) == 2


def test_the_batch_is_part_of_a_steps_identity():
    scores = {"a": {"x": 0.1, "y": 0.9}}
    toys = Tables(scores, {"a": {"x": "y"}})
    [alone] = correct(squad("a", order="batch"), items("x"), toys)
    [shared, _] = correct(squad("a", order="batch"), items("xy"), toys)
    assert alone.trace[1].batch != shared.trace[1].batch
    assert alone.text == shared.text == "y"


def test_the_loop_repeats_the_lowest_until_all_are_well_or_the_steps_are_used_up():
    scores = {"a": {"0": 0.1, "1": 0.5, "2": 0.95}, "b": {"0": 0.3, "1": 0.92, "2": 0.93}}
    toys = Tables(scores, {"a": {"0": "1", "1": "2"}, "b": {}})
    [answer] = correct(squad("ab", order="loop"), items(["0"]), toys)
    assert steps(answer) == [("upstream", "start", "0"), ("a", "correct", "1"), ("a", "correct", "2")]
    assert [step.threshold for step in answer.trace] == [None, 0.9, 0.9]
    swing = Tables(
        {"a": {"x": 0.1, "y": 0.8}, "b": {"x": 0.8, "y": 0.1}},
        {"a": {"x": "y"}, "b": {"y": "x"}},
    )
    [answer] = correct(squad("ab", order="loop"), items(["x"]), swing)
    assert [step.actor for step in answer.trace[1:]] == ["a", "b", "a", "b", "a"]
    [answer] = correct(squad("ab", order="loop", max_steps=2), items(["x"]), swing)
    assert (answer.text, answer.calls) == ("x", 3)


def test_rounds_repeat_only_where_a_score_is_too_low():
    scores = {"a": {"0": 0.1, "1": 0.2, "2": 0.9, "fine": 0.8}}
    toys = Tables(scores, {"a": {"0": "1", "1": "2"}})
    once = correct(squad("a"), items(["0", "fine"]), toys)
    assert [answer.text for answer in once] == ["1", "fine"]
    thrice = correct(squad("a", max_rounds=3), items(["0", "fine"]), toys)
    assert steps(thrice[0]) == [("upstream", "start", "0"), ("a", "correct", "1"), ("a", "correct", "2")]
    assert [action for _, action, _ in steps(thrice[1])] == ["start", "skip"]


BEFORE_AND_AFTER = {"a": {"bad": 0.2, "new": 0.4}, "b": {"bad": 0.45, "new": 0.3}}


def test_accept_always_keeps_every_rewrite():
    toys = Tables(BEFORE_AND_AFTER, {"a": {"bad": "new"}, "b": {"new": "new"}})
    [answer] = correct(squad("ab"), items(["bad"]), toys)
    assert answer.text == "new"


def test_accept_if_own_score_improves():
    toys = Tables(BEFORE_AND_AFTER, {"a": {"bad": "new"}, "b": {"new": "bad"}})
    [answer] = correct(squad("ab", accept="if_own_score_improves"), items(["bad"]), toys)
    assert steps(answer)[1:] == [("a", "correct", "new"), ("b", "correct", "bad")]
    worse = Tables({"a": {"bad": 0.2, "new": 0.2}}, {"a": {"bad": "new"}})
    [answer] = correct(squad("a", accept="if_own_score_improves"), items(["bad"]), worse)
    last = answer.trace[-1]
    assert (last.action, last.text, last.offered) == ("reject", "bad", "new")  # equal is no improvement
    assert (dict(last.scores), dict(last.offered_scores)) == ({"a": 0.2}, {"a": 0.2})
    assert (answer.text, answer.status) == ("bad", "ok")
    assert (answer.calls, answer.prompt_tokens, answer.completion_tokens, answer.seconds) == (2, 9, 5, 1.0)


def test_accept_if_min_score_improves():
    scores = {"a": {"bad": 0.2, "new": 0.9, "ok": 0.3}, "b": {"bad": 0.45, "new": 0.1, "ok": 0.3}}
    toys = Tables(scores, {"a": {"bad": "new"}, "b": {"bad": "ok"}})
    [answer] = correct(squad("ab", accept="if_min_score_improves"), items(["bad"]), toys)
    assert steps(answer)[1:] == [("a", "reject", "bad"), ("b", "correct", "ok")]
    level = Tables({"a": {"bad": 0.2, "new": 0.8}, "b": {"bad": 0.9, "new": 0.2}}, {"a": {"bad": "new"}})
    [answer] = correct(squad("ab", {"b": 0.0}, accept="if_min_score_improves"), items(["bad"]), level)
    assert steps(answer)[1] == ("a", "reject", "bad"), "an equal lowest score is no improvement"


def test_a_loop_does_not_offer_the_same_rewrite_twice():
    scores = {"a": {"bad": 0.2, "new": 0.1, "ok": 0.5}, "b": {"bad": 0.45, "new": 0.5, "ok": 0.6}}
    toys = Tables(scores, {"a": {"bad": "new", "ok": "new"}, "b": {"bad": "ok", "ok": "ok"}})
    [answer] = correct(squad("ab", order="loop", accept="if_own_score_improves"), items(["bad"]), toys)
    assert steps(answer)[1:] == [
        ("a", "reject", "bad"),
        ("b", "correct", "ok"),
        ("a", "reject", "ok"),
        ("b", "reject", "ok"),
    ]
    assert answer.calls == 5


def test_a_failed_rewrite_ends_the_row_and_no_other():
    toys = Tables(
        {"broken": {"x": 0.1, "y": 0.9, "z": 0.9}, "b": {"x": 0.1, "y": 0.1, "z": 1}}, {"b": {"y": "z"}}
    )
    failed, sound = correct(
        squad(["broken", "b"], max_rounds=2, accept="if_own_score_improves"), items("xy"), toys
    )
    assert (failed.status, failed.error, failed.text) == ("error", "down", "")
    assert [step.actor for step in failed.trace] == ["upstream", "broken"]
    assert (sound.status, sound.text) == ("ok", "z")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"order": "per_sample", "batch_size": 8}, "batch_size belongs to order: batch"),
        ({"order": "batch", "max_steps": 3}, "max_steps belongs to order: loop"),
        ({"order": "loop", "max_rounds": 2}, "a loop has max_steps"),
        ({"order": "random"}, "order"),
        ({"accept": "never"}, "accept"),
    ],
)
def test_what_a_squad_cannot_be(fields, words):
    with pytest.raises(ValidationError, match=words):
        squad("a", **fields)
