from hypothesis import given
from hypothesis import strategies as st

from aligner_bench.views.diff import lengths, word_diff, words

TEXTS = st.text(max_size=120) | st.lists(
    st.sampled_from(["the", "a", "cat", "sat,", "on", "mat.\n", "猫", "👍", ""]), max_size=40
).map(" ".join)


def old_of(runs):
    return "".join("".join(run.kept + run.removed) for run in runs)


def new_of(runs):
    return "".join("".join(run.kept + run.added) for run in runs)


@given(TEXTS)
def test_words_joined_are_the_text(text):
    assert "".join(words(text)) == text


@given(TEXTS, TEXTS)
def test_a_difference_holds_both_texts_and_its_lengths_use_them_up(old, new):
    runs = word_diff(old, new)
    assert new_of(runs) == new
    assert len(old_of(runs)) == len(old)
    flat = lengths(old, new)
    units = [len(text.encode("utf-16-le", "surrogatepass")) // 2 for text in (old, new)]
    assert sum(flat[0::3]) + sum(flat[1::3]) == units[0]
    assert sum(flat[0::3]) + sum(flat[2::3]) == units[1]


@given(TEXTS)
def test_equal_texts_have_no_change(text):
    assert all(not run.removed and not run.added for run in word_diff(text, text))


def test_one_changed_word_is_marked_alone():
    runs = word_diff("The cat sat.", "The dog sat.")
    assert runs == [(["The", " "], ["cat"], ["dog"]), ([" ", "sat", "."], [], [])]


def test_changes_divided_by_a_space_only_are_joined():
    runs = word_diff("one two end", "three four end")
    assert runs == [([], ["one", " ", "two"], ["three", " ", "four"]), ([" ", "end"], [], [])]


def test_letters_of_scripts_without_spaces_are_compared_one_by_one():
    assert word_diff("猫が好き", "犬が好き") == [([], ["猫"], ["犬"]), (["が", "好", "き"], [], [])]


def test_very_long_texts_become_one_replacement_between_common_ends():
    old = " ".join(f"a{i}" for i in range(15_000))
    new = "a0 " + " ".join(f"b{i}" for i in range(15_000)) + " a14999"
    runs = word_diff(old, new)
    assert (old_of(runs), new_of(runs)) == (old, new)
    assert len(runs) <= 3
