"""What rewrites look like: by hand on small texts, and on Aligner-2B's 805 published corrections."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner_bench.correctors.base import correct
from aligner_bench.interchange.alpaca_import import import_alpaca_eval
from aligner_bench.texts.edits import edit, tokens
from tests.correctors.handmade import make_run, prompt_rows, response_rows, verdict_rows
from tests.correctors.toys import Tables, aligner, items, squad

ALIGNER = "aligner-2b_gpt-4-turbo-2024-04-09"


def plain_distance(a, b):
    """Levenshtein's recursion as a table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def plain_common(a, b):
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best[i + 1][j + 1] = best[i][j] + 1 if x == y else max(best[i][j + 1], best[i + 1][j])
    return best[-1][-1]


words = st.lists(st.sampled_from(["a", "b", "cat", ",", "."]), max_size=8)


@settings(deadline=None)
@given(words, words)
def test_edits_equal_the_textbook(old, new):
    found = edit(" ".join(old), " ".join(new))
    assert (found.before, found.after) == (len(old), len(new))
    assert found.distance == plain_distance(old, new)
    assert found.kept == plain_common(old, new)


def test_tokens_are_words_and_marks():
    assert tokens("It's 3.5 km — naïve_x!\n") == ["It", "'", "s", "3", ".", "5", "km", "—", "naïve_x", "!"]
    assert tokens("水は100度") == ["水", "は", "100", "度"]


def test_an_empty_original_counts_as_one_token():
    assert edit("", "two words").ratio == 2.0
    assert edit("", "").ratio == 0.0


TEXTS = {
    "one two three four": "one two three four five six",  # 2 added of 4
    "red green": "red green",  # copied
    "x y": "z",  # distance 2 of 2; nothing kept
    "gone": "",  # a rewrite that failed below
}


@pytest.fixture
def run(tmp_path):
    given = items(list(TEXTS), categories=["law", "art", "art", "law"])
    tables = Tables({}, {"m": TEXTS})
    answers = correct(aligner("m"), given, tables)
    rows = response_rows("new", "aligner", given, answers)
    rows[3] |= {"status": "error", "error": "down"}
    plain = response_rows("base", "upstream", given, [item.answer for item in given], upstream=False)
    verdicts = verdict_rows(given[:3], "new", "base", [1.0, 0.5, 0.0])
    return make_run(tmp_path / "run", prompt_rows(given), [*plain, *rows], verdicts)


def test_anatomy_by_hand(run):
    rows = {row.category: row for row in run.results().anatomy}
    every = rows["all"]
    assert (every.n, every.n_left_out) == (3, 1)
    assert every.copied.value == pytest.approx(1 / 3)
    assert every.edit_ratio.value == pytest.approx((0.5 + 0 + 1) / 3)
    assert (every.kept.value, every.removed.value, every.added.value) == pytest.approx((2, 2 / 3, 1))
    assert (every.length_before.value, every.length_after.value) == pytest.approx((8 / 3, 3))
    assert every.length_ratio.value == pytest.approx(9 / 8)
    assert every.length_ratio.lower < 9 / 8 < every.length_ratio.upper
    assert (rows["law"].n, rows["law"].n_left_out, rows["law"].length_ratio.value) == (1, 1, 1.5)
    assert rows["art"].edit_ratio.value == 0.5
    assert {row.system for row in run.results().anatomy} == {"new"}


def test_win_rate_by_the_size_of_the_edit(run):
    bins = {row.bin: (row.rate.value, row.rate.n) for row in run.results().edit_bins}
    assert bins == {"unchanged": (0.5, 1), "0.3 to 0.6": (1.0, 1), "0.6 to 1": (0.0, 1)}


def test_repair_and_damage_by_a_judge(run):
    [change] = run.results().changes
    assert (change.judge, change.system, change.baseline) == ("facts", "new", "base")
    assert [n.value for n in (change.better, change.same, change.worse)] == pytest.approx([1 / 3] * 3)


def test_repair_and_damage_by_an_inspector(tmp_path):
    scores = {
        "a": {"low": 0.2, "up": 0.6, "high": 0.8, "bad": 0.3},
        "b": {"low": 0.9, "up": 0.4, "high": 0.1, "bad": 0.7},
    }
    tables = Tables(scores, {"a": {"low": "up", "bad": "bad"}, "b": {"high": "bad"}})
    spec = squad("ab", accept="if_own_score_improves", thresholds={"b": 0.3})
    given = items(["low", "high"], categories=["x", "y"])
    run = make_run(
        tmp_path / "run",
        prompt_rows(given),
        response_rows("squad", "squad", given, correct(spec, given, tables)),
    )
    crossings = run.results().crossings
    assert sorted({row.category for row in crossings}) == ["all", "x", "y"]
    found = {row.inspector: row for row in crossings if row.category == "all"}
    assert (found["a"].threshold, found["a"].repair.value, found["a"].repair.n) == (0.5, 1.0, 1)
    assert (found["a"].damage.value, found["a"].damage.n) == (1.0, 1)  # b's rewrite cost it
    assert (found["b"].threshold, found["b"].repair.value, found["b"].damage.value) == (0.3, 1.0, 0.0)


def test_a_score_of_exactly_the_threshold_is_not_low(tmp_path):
    tables = Tables({"a": {"at": 0.5, "low": 0.2, "up": 0.5}}, {"a": {"low": "up"}})
    given = items(["at", "low"])
    rows = response_rows("squad", "squad", given, correct(squad("a"), given, tables))
    [found] = make_run(tmp_path / "run", prompt_rows(given), rows).results().crossings
    assert (found.repair.value, found.repair.n) == (1.0, 1)
    assert (found.damage.value, found.damage.n) == (0.0, 1)


def test_805_published_corrections(shared_data, tmp_path):
    folders = [shared_data / "alpaca_eval" / "results" / name for name in (ALIGNER, "gpt4_1106_preview")]
    results = import_alpaca_eval(folders, tmp_path / "run").results()
    every = next(row for row in results.anatomy if row.category == "all")
    assert (every.system, every.n, every.n_left_out) == (ALIGNER, 805, 0)
    assert round(every.copied.value * 805) == 39
    [copies] = [row for row in results.copies if row.system == ALIGNER]
    assert copies.identical == 65
    parts = [row for row in results.anatomy if row.category != "all"]
    assert sum(row.n for row in parts) == 805
    assert sum(round(row.copied.value * row.n) for row in parts) == 39
    assert every.length_ratio.value == pytest.approx(every.length_after.value / every.length_before.value)
    kept = every.kept.value + every.removed.value
    assert kept == pytest.approx(every.length_before.value)


def test_the_interval_of_the_length_ratio_is_the_linearised_one(tmp_path):
    """Cochran 1977, 6.4: the standard error of a ratio of means, with the t quantile."""
    from scipy import stats

    before = [2, 3, 5, 4, 9, 6, 7, 3, 8, 5, 4, 6]
    after = [3, 3, 6, 6, 9, 8, 7, 5, 9, 4, 6, 7]
    moves = {
        f"{i} " + "w " * (b - 1): f"{i} " + "w " * (a - 1)
        for i, (b, a) in enumerate(zip(before, after, strict=True))
    }
    ratio = sum(after) / sum(before)
    squares = sum((a - ratio * b) ** 2 for b, a in zip(before, after, strict=True))
    half = stats.t.ppf(0.975, 11) * (squares / 11 / 12) ** 0.5 / (sum(before) / 12)

    def number(copies):
        given = items(list(moves) * copies)
        answers = correct(aligner("m"), given, Tables({}, {"m": moves}))
        asked = [{**row, "family": f"f{i % 12}"} for i, row in enumerate(prompt_rows(given))]
        rows = response_rows("new", "aligner", given, answers)
        [found] = make_run(tmp_path / f"run{copies}", asked, rows).results().anatomy
        return found.length_ratio

    once, copied = number(1), number(3)
    assert (once.value, once.lower, once.upper) == pytest.approx((ratio, ratio - half, ratio + half))
    assert (copied.lower, copied.upper) == pytest.approx((once.lower, once.upper)), "copies are no news"
    assert (once.method, copied.method) == ("linearised t", "linearised cluster t")
