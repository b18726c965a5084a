"""Every suite loads with the counts, categories and ids that the papers and the data sets state."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from aligner_bench.suites.load import load_suite, suite_names

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no local data sets at {DATA}")

EXPECTED = {
    "alpaca-eval": (805, 5),
    "beavertails": (700, 14),
    "empathy": (2547, 32),
    "harmfulqa": (1960, 10),
    "quick-facts": (96, 4),
    "synthetic-3h": (120, 3),
    "synthetic-3h-ngweta": (15000, 3),
    "truthfulqa": (813, 38),
}


def test_every_definition_is_listed():
    assert set(suite_names()) == {*EXPECTED, "dialogsum"}


@needs_data
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_counts_categories_and_ids(name):
    suite = load_suite(name, data_dir=DATA)
    rows, categories = EXPECTED[name]
    assert len(suite) == rows
    assert len(suite.categories) == categories
    assert {prompt.category for prompt in suite.prompts} == set(suite.categories)
    assert len({prompt.prompt_id for prompt in suite.prompts}) == rows
    assert suite.licence
    assert str(DATA) not in suite.source


@needs_data
def test_beavertails_category_cycle():
    """Golden vector 8: row r belongs to category r % 14, 50 rows each."""
    suite = load_suite("beavertails", data_dir=DATA)
    cycle = [suite.categories[row % 14] for row in range(700)]
    assert [prompt.category for prompt in suite.prompts] == cycle
    by_id = {prompt.prompt_id: prompt.category for prompt in suite.prompts}
    assert by_id["bt-695"] == suite.categories[9]
    assert by_id["bt-699"] == suite.categories[13]
    assert set(Counter(by_id.values()).values()) == {50}


@needs_data
def test_beavertails_relevant_subset():
    suite = load_suite("beavertails:ngweta_4", data_dir=DATA)
    assert len(suite) == 200
    assert suite.categories == suite.relevant
    assert suite.categories == (
        "controversial_topics,politics",
        "discrimination,stereotype,injustice",
        "hate_speech,offensive_language",
        "misinformation_regarding_ethics,laws_and_safety",
    )
    assert {int(prompt.prompt_id[3:]) % 14 for prompt in suite.prompts} == {2, 3, 6, 7}


@needs_data
def test_harmfulqa_shape_and_sample():
    """Golden vector 9, and the subset as plain Python draws it."""
    suite = load_suite("harmfulqa", data_dir=DATA)
    assert len({prompt.family for prompt in suite.prompts}) == 98
    assert len({prompt.text for prompt in suite.prompts}) == 1938
    records = [json.loads(line) for line in (DATA / "harmfulqa.jsonl").open(encoding="utf-8")]
    random.seed(42)
    drawn = {f"hq-{record['id']:04d}" for record in random.sample(records, 700)}
    subset = load_suite("harmfulqa", data_dir=DATA, subset="ji_700")
    assert {prompt.prompt_id for prompt in subset.prompts} == drawn
    assert subset.approximate
    assert subset.note


@needs_data
def test_truthfulqa_keeps_true_and_false_references():
    suite = load_suite("truthfulqa", data_dir=DATA)
    assert all(prompt.references and prompt.incorrect for prompt in suite.prompts)
    veins = next(prompt for prompt in suite.prompts if prompt.text == "Why do veins appear blue?")
    assert veins.references[0].startswith("Veins appear blue because blue light does not penetrate")
    assert len(veins.references) == 5  # the best answer stands once, though two columns hold it
    assert len(veins.incorrect) == 4


@needs_data
def test_empathy_names_fit_the_emotion_words():
    """The local file has ids only: situations of a named emotion use its word more than all others do."""
    suite = load_suite("empathy", data_dir=DATA)
    for word in ("annoyed", "guilty", "jealous", "terrified", "afraid", "lonely", "proud", "hopeful"):
        own = [p for p in suite.prompts if p.category == word]
        other = [p for p in suite.prompts if p.category != word]
        share = [sum(word in p.text.lower() for p in group) / len(group) for group in (own, other)]
        assert share[0] > 3 * share[1], word
    assert len(load_suite("empathy:ji_emotions", data_dir=DATA)) == 640


@needs_data
def test_synthetic_3h_ngweta_criterion_is_category():
    suite = load_suite("synthetic-3h-ngweta", data_dir=DATA)
    assert Counter(p.criterion for p in suite.prompts) == dict.fromkeys(suite.categories, 5000)
    assert all(prompt.criterion == prompt.category for prompt in suite.prompts)


@needs_data
def test_alpaca_eval_ids_come_from_the_text_alone(tmp_path):
    """Without the first file any complete model file serves, and gives the same suite."""
    results = tmp_path / "alpaca_eval" / "results"
    for model in ("phi-2", "aligner-2b_gpt-4-turbo-2024-04-09", "falcon-40b-instruct"):
        (results / model).mkdir(parents=True)
        source = DATA / "alpaca_eval" / "results" / model / "model_outputs.json"
        (results / model / "model_outputs.json").symlink_to(source)
    suite = load_suite("alpaca-eval", data_dir=tmp_path)
    assert "falcon-40b-instruct" in suite.source  # phi-2 lacks two rows, the aligner's file the data sets
    assert suite.content_hash == load_suite("alpaca-eval", data_dir=DATA).content_hash


def test_synthetic_3h_subsets_by_criterion():
    assert len(load_suite("synthetic-3h")) == 120
    for criterion in ("ethical", "factuality", "helpful"):
        subset = load_suite(f"synthetic-3h:{criterion}")
        assert len(subset) == 40
        assert {prompt.criterion for prompt in subset.prompts} == {criterion}


def test_quick_facts_has_references():
    assert all(prompt.references for prompt in load_suite("quick-facts").prompts)
