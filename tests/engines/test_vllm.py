"""The ``vllm`` engine: the real vLLM with SmolLM2, held against the ``hf`` engine at the same weights.

vLLM's pins keep it out of the usual environment: ``make test-vllm`` runs these in an environment of its own.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Decoding, Request
from aligner_bench.engines.base import Hooks, make_engine, model_spec
from aligner_bench.engines.embedded import SMOLLM2, converted_smollm2
from aligner_bench.engines.vllm_env import repeatability

QUESTIONS = [f"Name {n} {things}." for n in (2, 3, 5, 7) for things in ("animals", "rivers", "tools")]
LETTERS = ["A", "B"]
NEAR = 1e-3  # two best logits this close may change places between two ways to compute them
ROOT = Path(__file__).resolve().parents[2]


def spec(**fields):
    return model_spec(
        **{"engine": "vllm", "model": SMOLLM2, "kv_cache_gb": 1, "max_model_len": 256, **fields}
    )


def asked(texts, sample=0, top_logprobs=0, **decoding):
    how = Decoding(**{"max_new_tokens": 24, **decoding})
    return [Request(text, decoding=how, sample=sample, top_logprobs=top_logprobs) for text in texts]


def texts(completions):
    return [completion.text for completion in completions]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """Two small random LoRA adapters over SmolLM2, made by peft."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(converted_smollm2(), dtype=torch.float32)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        adapted = get_peft_model(base, config)
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight.data, std=0.1)
        folders.append(tmp_path_factory.mktemp("adapters") / f"adapter{seed}")
        adapted.save_pretrained(folders[-1])
    return folders


@pytest.fixture(scope="module")
def engines(adapters):
    """The base, and the same with each adapter: three models on one set of weights."""
    specs = [spec(), *(spec(lora=folder) for folder in adapters)]
    made = [make_engine(one) for one in specs]
    for engine in made:
        engine.load_beside(specs)
        engine.load()
    yield made
    for engine in made:
        engine.close()


@pytest.fixture(scope="module")
def engine(engines):
    return engines[0]


@pytest.fixture(scope="module")
def here():
    made = make_engine(model_spec(engine="hf", model=SMOLLM2))
    made.load()
    return made


def near_tie(engine, text, answer):
    """Were the two best tokens where ``answer`` leaves this engine's own text within NEAR of each other?"""
    mine = engine.complete(asked([text], top_logprobs=2))[0]
    words = ""
    for top in mine.logprobs:
        (best, first), (_, second) = list(top.items())[:2]
        if not answer.startswith((words + best).strip()):
            return first - second <= NEAR
        words += best
    return False


@pytest.mark.vllm
def test_greedy_texts_are_those_of_the_hf_engine(engine, here):
    mine, theirs = engine.complete(asked(QUESTIONS)), here.complete(asked(QUESTIONS))
    for question, a, b in zip(QUESTIONS, mine, theirs, strict=True):
        assert a.prompt_tokens == b.prompt_tokens
        if a.text != b.text:
            assert near_tie(engine, question, b.text), (a.text, b.text)
        else:
            assert (a.finish_reason, a.completion_tokens) == (b.finish_reason, b.completion_tokens)


@pytest.mark.vllm
def test_a_text_does_not_depend_on_its_batch_or_order(engine):
    together = engine.complete(asked(QUESTIONS))
    alone = [engine.complete(asked([text]))[0] for text in QUESTIONS]
    turned = engine.complete(asked(QUESTIONS[::-1]))[::-1]
    for question, first, *others in zip(QUESTIONS, together, alone, turned, strict=True):
        for other in others:
            assert first.text == other.text or near_tie(engine, question, other.text)


@pytest.mark.vllm
def test_choices_have_the_probabilities_of_the_hf_engine(engine, here):
    prompts = [Request(f"{text} Say A for yes or B for no.") for text in QUESTIONS]
    for mine, theirs in zip(engine.choose(prompts, LETTERS), here.choose(prompts, LETTERS), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
    with pytest.raises(UsageError, match="begin with the same token"):
        engine.choose(prompts, ["A", "A"])
    with pytest.raises(UsageError, match="exceeds 256 tokens"):
        engine.choose([Request("word " * 600)], LETTERS)


@pytest.mark.vllm
def test_top_log_probabilities_come_with_each_token(engine):
    done = engine.complete(asked(["What is the capital of France?"], top_logprobs=3))[0]
    assert (done.text, done.finish_reason) == ("The capital of France is Paris.", "stop")
    assert len(done.logprobs) == done.completion_tokens == 7
    for top in done.logprobs:
        assert len(top) == 3
        assert list(top.values()) == sorted(top.values(), reverse=True)
    assert "".join(next(iter(top)) for top in done.logprobs) == done.text


@pytest.mark.vllm
def test_stop_strings_end_an_answer_and_are_not_part_of_it(engine):
    whole, stopped = engine.complete(asked(QUESTIONS)), engine.complete(asked(QUESTIONS, stop=("2",)))
    assert any(c.finish_reason == "stop_string" for c in stopped)
    for before, after in zip(whole, stopped, strict=True):
        assert after.text == before.text.partition("2")[0].strip()
        assert (after.finish_reason == "stop_string") == ("2" in before.text)


@pytest.mark.vllm
def test_samples_follow_their_seed_whatever_the_batch(engine):
    draw = {"temperature": 0.9, "top_p": 0.95, "top_k": 40}
    first, again = engine.complete(asked(QUESTIONS, **draw)), engine.complete(asked(QUESTIONS[::-1], **draw))
    same = sum(a == b for a, b in zip(texts(first), texts(again)[::-1], strict=True))
    assert same >= len(QUESTIONS) - 1  # a number next to a threshold may fall on its other side
    other = engine.complete(asked(QUESTIONS, sample=1, **draw))
    assert not set(texts(first)) & set(texts(other))


@pytest.mark.vllm
def test_only_the_end_of_an_answer_is_cut(engine):
    how = Decoding(max_new_tokens=8)
    begin, end = "Question: what is best?\nAnswer: ", "\nSay yes."
    requests = [
        Request(begin, "word " * 600, end, decoding=how),
        Request(begin, "word", end, decoding=how),
        Request("word " * 600, decoding=how),
    ]
    cut, whole, failed = engine.complete(requests)
    assert cut.cut_tokens > 300
    assert 240 <= cut.prompt_tokens <= 248
    assert whole.cut_tokens == 0
    assert (failed.status, failed.error) == ("error", "too_long: the prompt alone exceeds 256 tokens")


@pytest.mark.vllm
def test_a_stream_that_is_left_leaves_nothing_behind(engine):
    requests = dict(zip(QUESTIONS, asked(QUESTIONS), strict=True))
    started = []
    hooks = Hooks(may_start=lambda key: len(started) < 3 and not started.append(key))
    found = {key for bundle in engine.stream(requests, hooks) for key in bundle}
    assert found == set(started)
    assert len(started) == 3
    stream = engine.stream({**requests, " ": Request("x " * 900)})
    next(stream)
    stream.close()
    assert texts(engine.complete(asked(["What is the capital of France?"]))) == [
        "The capital of France is Paris."
    ]


@pytest.mark.vllm
def test_adapters_share_one_load_and_change_the_text(engines):
    base, first, second = (texts(engine.complete(asked(QUESTIONS))) for engine in engines)
    assert base != first != second != base
    assert texts(engines[0].complete(asked(QUESTIONS))) == base
    assert len({id(engine._loaded.llm) for engine in engines}) == 1
    assert [engine.facts()["shared_by"] for engine in engines] == [3, 3, 3]
    identities = [json.dumps(engine.identity(), sort_keys=True) for engine in engines]
    assert len(set(identities)) == 3


@pytest.mark.vllm
def test_an_adapter_gives_what_peft_computes(engines, adapters):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(converted_smollm2())
    base = AutoModelForCausalLM.from_pretrained(converted_smollm2(), dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapters[0]).eval()
    letters = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in LETTERS]
    prompt = Request(QUESTIONS[0])
    ids, _ = engines[1]._prompts.encode(prompt, 1)
    with torch.inference_mode():
        wanted = torch.softmax(model(torch.tensor([ids])).logits[0, -1].double(), -1)[letters].tolist()
    assert list(engines[1].choose([prompt], LETTERS)[0].values()) == pytest.approx(wanted, rel=2e-3)


@pytest.mark.vllm
def test_closing_frees_memory_and_leaves_other_models_usable(engine):
    """vLLM ends what all models of a process have in common with the first that ends."""
    import psutil

    other = make_engine(spec(dtype="bfloat16"))
    other.load()
    france = asked(["What is the capital of France?"])
    assert texts(other.complete(france)) == texts(engine.complete(france))
    held = psutil.Process().memory_info().rss
    other.close()
    assert held - psutil.Process().memory_info().rss > 2**30
    assert texts(engine.complete(france)) == ["The capital of France is Paris."]


@pytest.mark.vllm
def test_what_ran_is_said(engine):
    assert engine.identity()["vllm"] == engine.facts()["version"]
    facts = engine.facts()
    assert (facts["device"], facts["reproducible"], facts["batch_invariant"]) == ("cpu", True, False)
    assert (facts["VLLM_ENABLE_V1_MULTIPROCESSING"], facts["VLLM_BATCH_INVARIANT"]) == ("0", "0")


@pytest.mark.vllm
def test_a_folder_without_an_adapter_is_one_clear_line(tmp_path):
    with pytest.raises(UsageError, match="is not a LoRA adapter"):
        make_engine(spec(lora=tmp_path)).identity()


@pytest.mark.vllm
def test_a_run_loads_shared_weights_once_and_a_rerun_does_nothing(adapters, tmp_path, cli):
    (tmp_path / "one").symlink_to(adapters[0])
    (tmp_path / "exp.yaml").write_text(
        "name: shared\nsuites: [{name: quick-facts, limit: 3}]\ndecoding: {max_new_tokens: 8}\nmodels:\n"
        "  base: &m {engine: vllm, model: smollm2-135m-instruct, kv_cache_gb: 1, max_model_len: 1024}\n"
        "  tuned: {<<: *m, lora: one}\n"
        "systems:\n  base: {upstream: base}\n"
        "  corrected: {upstream: base, corrector: {kind: aligner, model: tuned, template: prompted}}\n"
        "judges: {letter: {kind: logprob, model: base, audit_pairs: 4}}\n"
        "comparisons: [{candidate: corrected, baselines: [base]}]\n"
    )
    call = ("run", tmp_path / "exp.yaml", "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite")
    done = cli(*call)
    assert done.returncode == 0, done.stderr
    run = aligner_bench.Run(tmp_path / "out")
    assert {row["status"] for row in run.rows("responses")} <= {"ok", "truncated", "empty"}
    assert all(row["preference"] is not None for row in run.rows("verdicts"))
    engines = run.manifest["engines"]
    assert engines["base"]["shared_by"] == engines["tuned"]["shared_by"] == 2
    assert engines["base"]["reproducible"] is True
    board = (tmp_path / "out" / "leaderboard.json").read_bytes()
    again = cli(*call)
    assert again.returncode == 0, again.stderr
    assert "work items: 0 computed" in again.stdout
    assert (tmp_path / "out" / "leaderboard.json").read_bytes() == board


def test_only_settings_that_make_texts_repeatable_are_called_so():
    one = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    invariant = {"VLLM_BATCH_INVARIANT": "1"}
    for environment, device, offline, expected in (
        (one, "cpu", True, True),
        ({}, "cpu", True, False),
        (invariant, "cpu", True, False),
        (invariant, "NVIDIA H100", True, True),
        (invariant, "NVIDIA H100", False, True),
        (one, "NVIDIA H100", False, False),
        ({"VLLM_BATCH_INVARIANT": "0"}, "NVIDIA H100", True, False),
    ):
        assert repeatability(environment, device, offline=offline)["reproducible"] is expected


def test_without_vllm_a_run_ends_with_the_line_that_installs_it(tmp_path):
    """In any environment: a folder of no packages but the project's own is searched for vLLM."""
    program = (
        "import importlib.metadata as m\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name.startswith('vllm'): raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "from aligner_bench.cli.main import main\nmain()\n"
    )
    (tmp_path / "exp.yaml").write_text(
        "name: none\nsuites: [{name: quick-facts, limit: 2}]\n"
        "models: {big: {engine: vllm, model: smollm2-135m-instruct}}\nsystems: {base: {upstream: big}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "exp.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "vllm, which is not installed here: make vllm" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.vllm
def test_vllm_is_here():
    """The tests above must not become skips: the environment they are for has vLLM."""
    assert find_spec("vllm") is not None
