"""Inspectors whose encoders are equal: one pass for all of them, the same scores as apart."""

from __future__ import annotations

import json

import pytest

from aligner_bench.engines.embedded import MINILM, embedded_path
from aligner_bench.inspectors.base import InspectorSpec
from aligner_bench.inspectors.classifier import Classifier
from aligner_bench.runner.workbench import Workbench
from aligner_bench.store.ledger import Ledger

PAIRS = [(f"What is {i} and {i}?", "It is " + "very " * (i % 7) + str(2 * i)) for i in range(40)]


@pytest.fixture(scope="module")
def checkpoints(models, tmp_path_factory):
    """Three two-class models on MiniLM: two heads on the encoder as it is, one on a changed encoder."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    home, base = tmp_path_factory.mktemp("heads"), embedded_path(MINILM)
    for seed, name in enumerate(("kind", "true", "tuned")):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = AutoModelForSequenceClassification.from_pretrained(
                base, num_labels=2, dtype=torch.float32
            )
            model.classifier.weight.data.normal_(0, 2)
        if name == "tuned":
            model.base_model.embeddings.word_embeddings.weight.data[7] += 0.5
        model.save_pretrained(home / name)
        AutoTokenizer.from_pretrained(base).save_pretrained(home / name)
    return home


def spec(checkpoints, name) -> InspectorSpec:
    return InspectorSpec(model=str(checkpoints / name))


def test_heads_on_one_encoder_go_through_in_one_pass(checkpoints, tmp_path):
    inspectors = {name: spec(checkpoints, name) for name in ("kind", "tuned", "true")}
    with Ledger(tmp_path / "l.sqlite") as book:
        bench = Workbench({}, inspectors, book)
        scores = {name: [score.value for score in bench.score(name, PAIRS)] for name in inspectors}
        assert bench.loads == {"kind, true": 1, "tuned": 1}
        assert bench.computed["score"] == 3 * len(PAIRS)
        passes = [thing.encoder_passes for thing in bench.residency.instances()]
        rewritten = book.stats()[0]
    for name in inspectors:
        alone = Classifier(inspectors[name])
        alone.load()
        assert scores[name] == pytest.approx([score.value for score in alone.score(PAIRS)], abs=1e-5)
        assert len(set(scores[name])) > 20
    assert scores["kind"] != scores["true"] != scores["tuned"]
    assert passes == [len(alone.cut(PAIRS))] * 2
    assert rewritten.items == rewritten.writes == 3 * len(PAIRS)


def test_batches_are_cut_by_tokens(checkpoints):
    inspector = Classifier(spec(checkpoints, "kind"))
    inspector.load()
    long = [("Why?", "word " * 400)] * 40 + [("Why?", "Because.")] * 200
    batches = inspector.cut(long)
    assert sorted(i for batch in batches for i in batch) == list(range(240))
    sizes = {len(batch) for batch in batches if 0 in batch}
    assert max(sizes) <= 8192 // 400
    assert max(map(len, batches)) == 128
    assert all(len({long[i] for i in batch}) == 1 for batch in batches[:-3])


def test_another_tokenizer_makes_another_encoder(checkpoints, tmp_path):
    """The same weights that read other tokens do not give the same output."""
    import shutil

    from aligner_bench.inspectors.backbone import families

    other = tmp_path / "other"
    shutil.copytree(checkpoints / "kind", other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    found = families({"a": spec(checkpoints, "kind"), "b": InspectorSpec(model=str(other))})
    assert found == {"a": ("a",), "b": ("b",)}
