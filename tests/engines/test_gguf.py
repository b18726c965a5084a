"""GGUF files of the llama family as models of the ``hf`` engine."""

from __future__ import annotations

import struct

import pytest

from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Decoding, Request
from aligner_bench.engines.base import ModelSpec, make_engine, model_spec
from aligner_bench.engines.memory import model_bytes

VOCABULARY, WIDTH, HEADS, KV_HEADS, HIDDEN = 260, 32, 4, 2, 48


def byte_tokens() -> list[str]:
    """GPT-2's 256 printable stand-ins for bytes, two merges and two special tokens."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in seen]
    return (
        [chr(byte) for byte in seen] + [chr(256 + i) for i in range(len(rest))] + ["th", "he", "<s>", "</s>"]
    )


@pytest.fixture(scope="module")
def tiny_gguf(models, tmp_path_factory):
    """One layer of random numbers with a byte vocabulary, written with the gguf package."""
    import gguf
    import numpy as np

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(byte_tokens())
    writer.add_token_types([1] * 258 + [3, 3])
    writer.add_token_merges(["t h", "h e"])
    writer.add_bos_token_id(258)
    writer.add_eos_token_id(259)
    dice = np.random.default_rng(0)
    kv = WIDTH // HEADS * KV_HEADS
    shapes = {
        "token_embd": (VOCABULARY, WIDTH),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (kv, WIDTH),
        "blk.0.attn_v": (kv, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (HIDDEN, WIDTH),
        "blk.0.ffn_up": (HIDDEN, WIDTH),
        "blk.0.ffn_down": (WIDTH, HIDDEN),
        "output": (VOCABULARY, WIDTH),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", dice.normal(0, 0.4, shape).astype(np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def spec(path) -> ModelSpec:
    return model_spec(engine="hf", model=str(path), chat=False)


def test_a_gguf_file_answers_as_transformers_reads_it(tiny_gguf, tmp_path, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setenv("ALIGNER_BENCH_CACHE", str(tmp_path / "cache"))
    engine = make_engine(spec(tiny_gguf))
    engine.load()
    (row,) = engine.complete([Request("the other", chat=False, decoding=Decoding(max_new_tokens=6))])
    folder, name = tiny_gguf.parent, tiny_gguf.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    ids = tokenizer("the other", return_tensors="pt")
    wanted = model.generate(**ids, max_new_tokens=6, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert row.completion_tokens > 0
    assert row.text == tokenizer.decode(wanted, skip_special_tokens=True).strip()
    (copy,) = (tmp_path / "cache" / "models").iterdir()
    again = make_engine(spec(tiny_gguf))
    made = copy.stat().st_mtime_ns
    again.load()
    assert copy.stat().st_mtime_ns == made


def test_identity_and_size_are_read_without_loading(tiny_gguf, tmp_path):
    parameters = 2 * VOCABULARY * WIDTH + WIDTH * (2 * WIDTH + 2 * WIDTH // 2 + 3 * HIDDEN + 3)
    assert model_bytes(str(tiny_gguf), "float32") == 4 * parameters
    changed = tmp_path / "changed.gguf"
    changed.write_bytes(tiny_gguf.read_bytes()[:-4] + b"\0\0\0\1")
    same = tmp_path / "same.gguf"
    same.write_bytes(tiny_gguf.read_bytes())
    first, second, third = (make_engine(spec(path)).identity() for path in (tiny_gguf, same, changed))
    assert first == second != third


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"PK\3\4 not a model", "does not begin with GGUF"),
    ],
)
def test_what_is_no_gguf_file_ends_in_one_line(tmp_path, cli, content, said):
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    experiment = tmp_path / "exp.yaml"
    experiment.write_text(
        "name: x\nsuites: [{name: quick-facts, limit: 2}]\nmodels: {m: {engine: hf, model: model.gguf}}\n"
        "systems: {a: {upstream: m}, b: {upstream: m, corrector: {kind: identity}}}\n"
        "judges: {facts: {kind: reference}}\ncomparisons: [{candidate: b, baselines: [a]}]\n"
    )
    done = cli("run", experiment, "-q", "--ledger", tmp_path / "l.sqlite")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "model.gguf" in line
    assert said in line


def test_an_architecture_that_transformers_does_not_know_is_named(models, tmp_path, monkeypatch):
    import gguf

    monkeypatch.setenv("ALIGNER_BENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "octopus")
    writer.add_block_count(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UsageError, match=r"odd\.gguf.*octopus"):
        make_engine(spec(path)).load()
    assert not list((tmp_path / "cache").glob("models/*"))


def test_a_damaged_header_is_named(tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 5))
    with pytest.raises(UsageError, match="damaged GGUF header"):
        model_bytes(str(path), "float32")
