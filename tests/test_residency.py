"""Models in memory: each loaded once a run, the least needed out where the next would not fit."""

from __future__ import annotations

import json

import pytest

import aligner_bench
from aligner_bench.engines.base import model_spec
from aligner_bench.engines.memory import model_bytes
from aligner_bench.experiment.experiment import Experiment
from tests.engines.tiny_llama import write_tiny_llama

EXPERIMENT = """\
name: residents
decoding: {{temperature: 0.7, max_new_tokens: 4}}
suites: [{{name: quick-facts, limit: 3}}, {{name: synthetic-3h, limit: 3}}]
models:
  up: {{engine: hf, model: {home}/up, chat: false}}
  first: {{engine: hf, model: {home}/first, chat: false}}
  alias: {{engine: hf, model: {home}/first, chat: false}}
systems:
  base: {{upstream: up}}
  again: {{kind: resample, upstream: up, seed: 1}}
  one: {{upstream: up, corrector: {{kind: aligner, model: first, template: ji-v1}}}}
  other: {{upstream: up, corrector: {{kind: aligner, model: up, template: ji-v1}}}}
  two: {{upstream: up, corrector: {{kind: aligner, model: alias, template: ngweta}}}}
judges:
  facts: {{kind: reference}}
  letters: {{kind: logprob, model: first, audit_pairs: 0}}
comparisons:
  - {{candidate: one, baselines: [base]}}
  - {{candidate: two, baselines: [base, other]}}
"""


@pytest.fixture(scope="module")
def home(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("residents")
    write_tiny_llama(folder / "up", seed=1)
    write_tiny_llama(folder / "first", seed=2)
    (folder / "exp.yaml").write_text(EXPERIMENT.format(home=folder))
    return folder


@pytest.fixture(scope="module")
def roomy(home):
    return aligner_bench.run(Experiment.load(home / "exp.yaml"), home / "roomy", ledger=home / "a.sqlite")


def test_each_model_is_loaded_once_over_all_systems_suites_and_names(roomy):
    assert roomy.manifest["model_loads"] == {"up": 1, "first": 1}
    assert roomy.manifest["model_unloads"] == {}
    assert len(roomy.rows("responses")) == 5 * 6


def test_with_and_without_its_chat_template_a_model_is_loaded_once(home, models, tmp_path):
    from aligner_bench.core.types import Decoding, Request
    from aligner_bench.runner.workbench import Workbench
    from aligner_bench.store.ledger import Ledger

    spec = model_spec(engine="hf", model="smollm2-135m-instruct")
    both = {"chat": spec, "plain": spec.model_copy(update={"chat": False})}
    request = Request("What is the capital of France?", decoding=Decoding(max_new_tokens=4))
    with Ledger(tmp_path / "a.sqlite") as ledger:
        bench = Workbench(both, {}, ledger)
        (asked,), (continued,) = (bench.complete(name, [request]) for name in both)
        assert bench.loads == {"chat": 1}
    assert asked.prompt_tokens > continued.prompt_tokens + 10
    with Ledger(tmp_path / "b.sqlite") as ledger:
        (alone,) = Workbench({"plain": both["plain"]}, {}, ledger).complete("plain", [request])
    assert (alone.text, alone.prompt_tokens) == (continued.text, continued.prompt_tokens)


def test_where_one_fits_at_a_time_they_take_turns_and_say_the_same(home, roomy):
    size = model_spec(engine="hf", model=str(home / "up")).resident_bytes() / 2**30
    narrow = aligner_bench.run(
        Experiment.load(home / "exp.yaml"), home / "narrow", ledger=home / "b.sqlite", memory=1.5 * size
    )
    assert narrow.manifest["model_loads"] == {"up": 1, "first": 1}  # in turns, still once each
    assert narrow.manifest["model_unloads"] == {"up": 1}
    texts = [[(row["prompt_id"], row["text"]) for row in run.rows("responses")] for run in (narrow, roomy)]
    assert texts[0] == texts[1]


def test_a_model_that_can_never_fit_is_named(home, cli):
    done = cli("run", home / "exp.yaml", "--memory", "0.1", "-q", "--ledger", home / "c.sqlite")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "model up needs about 0." in line
    assert "--memory" in line
    done = cli("run", home / "exp.yaml", "--memory", "0", "-q")
    assert done.returncode == 2
    assert "expected GiB above 0" in done.stderr


def test_the_plan_shows_what_is_loaded(home, cli):
    done = cli("plan", home / "exp.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {tuple(row["names"]): row for row in json.loads(done.stdout)["models"]}
    assert set(rows) == {("up",), ("first", "alias")}
    assert rows["up",]["items"] == 2 * 6 + 6
    assert rows["up",]["gib"] == pytest.approx(rows["first", "alias"]["gib"])
    assert "first = alias" in cli("plan", home / "exp.yaml").stdout


def test_the_plan_knows_the_size_of_a_model_whose_engine_is_elsewhere(home, tmp_path, cli):
    text = (home / "exp.yaml").read_text().replace("engine: hf", "engine: vllm")
    (tmp_path / "exp.yaml").write_text(text)
    done = cli("plan", tmp_path / "exp.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["names"][0]: row for row in json.loads(done.stdout)["models"]}
    assert rows["up"]["gib"] > 2  # most of it vLLM's cache


def test_weights_are_counted_without_loading(home, models):
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(home / "up", dtype=torch.float32)
    names = {p.data_ptr(): p.numel() for p in loaded.parameters()}
    assert model_bytes(str(home / "up"), "float32") == 4 * sum(names.values())
    assert model_bytes("smollm2-135m-instruct", "bfloat16") == 2 * 134_515_008


def test_the_workbench_says_what_leaves(home, tmp_path):
    """The one with the fewest items to come goes first, whoever was used last."""
    from aligner_bench.runner.residency import Residency

    class Thing:
        def __init__(self):
            self.loaded = 0

        def load(self):
            self.loaded += 1

        def unload(self):
            self.loaded -= 1

    held = Residency(budget=100)
    held.plan({"busy": 50, "idle": 2, "new": 5})
    busy, idle = held.get("busy", "busy", 40, Thing), held.get("idle", "idle", 40, Thing)
    held.get("busy", "busy", 40, Thing)
    held.get("idle", "idle", 40, Thing)
    held.get("new", "new", 30, Thing)
    assert (busy.loaded, idle.loaded) == (1, 0)
    assert held.get("idle", "idle", 40, Thing) is idle
    assert held.loads == {"busy": 1, "idle": 2, "new": 1}
    assert held.unloads == {"idle": 1, "new": 1}
    assert sum(held.resident().values()) <= 100
