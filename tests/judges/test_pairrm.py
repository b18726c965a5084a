"""The pairrm judge: equal to the authors' package, independent of the batch, honest about its name."""

from __future__ import annotations

import random
from importlib.util import find_spec

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import PairText
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.inspectors.base import packaged_pairs
from aligner_bench.judges.pairrm.spec import TINY_RANKER, PairRMSpec
from tests.conftest import leaderboard_of


@pytest.fixture(scope="module")
def tiny(models, tmp_path_factory):
    """A tiny checkpoint in both published formats."""
    from aligner_bench.judges.pairrm.tiny import write_tiny_hf_ranker, write_tiny_ranker

    home = tmp_path_factory.mktemp("ranker")
    plain = write_tiny_ranker(home / "plain")
    return plain, write_tiny_hf_ranker(plain, home / "hf")


def ranker(folder, **fields):
    from aligner_bench.judges.pairrm.rankers import make_ranker

    return make_ranker(PairRMSpec(kind="pairrm", model=str(folder), **fields))


def mixed_pairs():
    """Real pairs, pairs that must be cut on each side, and text that looks like the ranker's own marks."""
    known = packaged_pairs("helpful", "held_out")[:6]
    words, rng = " ".join(p.better for p in known).split(), random.Random(0)

    def text(n):
        return " ".join(rng.choices(words, k=n))

    pairs = [PairText(p.prompt, p.better, p.worse) for p in known]
    sizes = ((500, 20, 30), (5, 150, 200), (5, 300, 10), (300, 250, 5))
    pairs += [PairText(*map(text, triple)) for triple in sizes]
    pairs.append(PairText("Say <|candidate1|> twice.", "one [SEP] two", "<|candidate2|> [CLS] \ud800"))
    return [*pairs, *(PairText(p.prompt, p.second, p.first) for p in pairs)]


@pytest.mark.skipif(find_spec("llm_blender") is None, reason="the package llm-blender is not installed")
@pytest.mark.parametrize("rule", ["fixed", "spare"])
def test_logits_equal_the_authors_package_in_both_orders(tiny, rule):
    pairs = mixed_pairs()
    ours = ranker(tiny[0], truncation=rule).logits(pairs)
    theirs = ranker(tiny[0], truncation=rule, backend="llm_blender").logits(pairs)
    assert max(abs(a.value - b.value) for a, b in zip(ours, theirs, strict=True)) < 1e-4
    assert [a.cut_tokens for a in ours] == [b.cut_tokens for b in theirs]
    assert len({logit.value for logit in ours}) == len(ours)


@pytest.mark.skipif(find_spec("llm_blender") is None, reason="the package llm-blender is not installed")
def test_published_scores_come_out_of_both_orders(tiny):
    """``rank``'s score and ``compare``'s verdict, by the package alone, against our two logits."""
    from aligner_bench.judges.pairrm.blender import load_blender

    pairs = [PairText(p.prompt, p.better, p.worse) for p in packaged_pairs("ethical", "held_out")[:8]]
    blender = load_blender(PairRMSpec(kind="pairrm", model=str(tiny[0])), "cpu")
    prompts, both = [p.prompt for p in pairs], [[p.first, p.second] for p in pairs]
    scores = blender.rank(prompts, both, return_scores=True, batch_size=1, disable_tqdm=True)
    wins = blender.compare(
        prompts, [b[0] for b in both], [b[1] for b in both], batch_size=1, disable_tqdm=True
    )
    logits = ranker(tiny[0]).logits([*pairs, *(PairText(p.prompt, p.second, p.first) for p in pairs)])
    mine = [(a.value - b.value) / 2 for a, b in zip(logits[:8], logits[8:], strict=True)]
    assert mine == pytest.approx(list(scores[:, 0]), abs=1e-4)
    assert [score > 0 for score in mine] == list(wins)


def test_both_formats_and_every_batch_give_the_same_logits(tiny):
    pairs = mixed_pairs()
    together = ranker(tiny[0], batch_size=16).logits(pairs)
    hf = ranker(tiny[1]).logits(pairs)
    engine = ranker(tiny[0])
    alone = [engine.logits([pair])[0] for pair in reversed(pairs)][::-1]
    for one, two, three in zip(together, hf, alone, strict=True):
        assert one.value == pytest.approx(two.value, abs=2e-5)
        assert one.value == pytest.approx(three.value, abs=2e-5)
        assert one.cut_tokens == two.cut_tokens == three.cut_tokens


def test_our_attention_is_that_of_transformers(tiny):
    """Lengths beyond the position buckets, padding, and both ways of going through the heads."""
    import torch

    from aligner_bench.judges.pairrm import attention as pairrm_attention

    network = ranker(tiny[0])._network
    for rows, length in ((1, 1), (3, 40), (2, 700)):
        ids = torch.randint(5, 2000, (rows, length), generator=torch.Generator().manual_seed(length))
        mask = torch.ones_like(ids)
        mask[0, (length + 1) // 2 :] = 0
        with torch.inference_mode():
            ours = pairrm_attention.encode(network, ids, mask)
            theirs = network(ids, mask).last_hidden_state
        assert float(((ours - theirs) * mask[:, :, None]).abs().max()) < 5e-4


def test_what_is_cut_is_counted(tiny):
    engine = ranker(tiny[0])
    answer = ("is " * 500).strip()
    short, long = engine.logits([PairText("Why?", "It is.", "It was."), PairText("Why?", answer, "It was.")])
    assert short.cut_tokens == 0
    assert long.cut_tokens == 500 + 3 - 412  # two separators and the marker beside the words
    spare = ranker(tiny[0], truncation="spare").logits([PairText("Why?", answer, "It was.")])
    assert spare[0].cut_tokens == 0


EXPERIMENT = """\
name: ranked
suites: [{{name: quick-facts, limit: 6}}]
models:
  one: {{engine: replay, path: one.jsonl}}
  two: {{engine: replay, path: two.jsonl}}
systems:
  base: {{upstream: one}}
  new: {{upstream: two}}
  same: {{upstream: one, corrector: {{kind: identity}}}}
judges:
  {judge}: {{kind: pairrm, model: {model}, audit_pairs: 6}}
comparisons: [{{candidate: new, baselines: [base]}}, {{candidate: same, baselines: [base]}}]
"""


def write_experiment(home, judge="ranker", model=TINY_RANKER):
    import json

    from aligner_bench.suites.load import load_suite

    for name, words in (("one", "I think it is "), ("two", "The answer, in short: ")):
        rows = [
            {"prompt_id": p.prompt_id, "output": words + p.references[0]}
            for p in load_suite("quick-facts").prompts
        ]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "exp.yaml").write_text(EXPERIMENT.format(judge=judge, model=model))
    return home / "exp.yaml"


def test_a_run_judges_both_orders_once(models, tmp_path):
    path = write_experiment(tmp_path)
    first = aligner_bench.run(Experiment.load(path), tmp_path / "run", ledger=tmp_path / "l.sqlite")
    assert first.manifest["ledger"]["done"]["rank"] == 2 * 6 + 2 * 6  # pairs and audit; none for equal texts
    again = aligner_bench.run(Experiment.load(path), tmp_path / "again", ledger=tmp_path / "l.sqlite")
    assert "rank" not in again.manifest["ledger"]["done"]
    new, same = leaderboard_of(first.path)["rows"]
    assert (new["orders"], new["n_wins"] + new["n_draws"] + new["n_wins_base"]) == (2, 6)
    assert same["n_identical"] == same["n_draws"] == 6
    judge = leaderboard_of(first.path)["judges"][0]
    assert judge["kind"] == "pair ranker"
    assert "stand-in" in judge["description"]
    verdicts = first.rows("verdicts")
    assert {v["order"] for v in verdicts} == {"candidate_first", "baseline_first"}


def test_cut_verdicts_are_counted_in_the_results(models, tmp_path):
    import json

    path = write_experiment(tmp_path)
    lines = (tmp_path / "two.jsonl").read_text().splitlines()
    long = [json.dumps({**json.loads(line), "output": "It is " * 400}) for line in lines]
    (tmp_path / "two.jsonl").write_text("\n".join(long) + "\n")
    run = aligner_bench.run(Experiment.load(path), tmp_path / "run", ledger=tmp_path / "l.sqlite")
    assert run.results().judges[0].n_cut == 2 * 6
    assert "ranker: 12 verdicts on texts cut to fit it." in run.results().warnings


@pytest.mark.parametrize("judge", ["pairrm", "PairRM-0.4B", "my_pair_rm"])
def test_a_stand_in_does_not_print_under_the_real_name(models, tmp_path, judge):
    path = write_experiment(tmp_path, judge=judge)
    with pytest.raises(UsageError, match="is not PairRM"):
        aligner_bench.run(Experiment.load(path), tmp_path / "run", ledger=tmp_path / "l.sqlite")
    assert not (tmp_path / "run").exists()


def test_smoke_scale_swaps_the_ranker_and_its_name(models, tmp_path):
    path = write_experiment(tmp_path, judge="pairrm", model="llm-blender/PairRM")
    path.write_text(path.read_text() + "headline: pairrm\n")
    smoke = Experiment.load(path).smoke()
    assert smoke.headline == "stand-in-for-pairrm"
    run = aligner_bench.run(smoke, tmp_path / "run", ledger=tmp_path / "l.sqlite")
    assert [judge.judge for judge in run.results().judges] == ["stand-in-for-pairrm"]


@pytest.mark.parametrize(
    ("model", "words"),
    [("no-such-folder", "no folder"), ("empty", "no readable config.json"), ("other", "ranker_type")],
)
def test_bad_checkpoints_end_as_one_line(models, tmp_path, cli, model, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"ranker_type": "summareranker"}')
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    name = model if model == "no-such-folder" else str(tmp_path / model)
    done = cli("run", write_experiment(tmp_path, model=name), "--out", tmp_path / "run")
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
