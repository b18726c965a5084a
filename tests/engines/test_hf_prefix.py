"""The ``hf`` engine on a small real model: shared beginnings, batches by tokens, memory that runs out."""

from __future__ import annotations

import random
from functools import wraps

import pytest

from aligner_bench.core.types import Completion, Decoding, Request
from aligner_bench.engines.base import make_engine, model_spec
from tests.engines.tiny_llama import write_tiny_llama


def plain(prefix: str, text: str, new: int) -> Request:
    return Request(prefix, text, chat=False, decoding=Decoding(max_new_tokens=new))


RULES = "Be accurate and kind. Keep what is right, mend what is wrong, and say what is unknown. " * 8
OTHER = "Translate the following text into plain words that a child of ten can read without help. " * 8


@pytest.fixture(scope="module")
def tiny(models, tmp_path_factory):
    return str(write_tiny_llama(tmp_path_factory.mktemp("tiny")))


def engine(model, **fields):
    made = make_engine(model_spec(engine="hf", model=model, **fields))
    made.load()
    return made


def mixed(n: int, **decoding) -> list[Request]:
    """Requests of all lengths: one template, another, none; chat and plain."""
    dice = random.Random(1)
    profile = Decoding(max_new_tokens=decoding.pop("max_new_tokens", 12), **decoding)
    words = RULES.split() + OTHER.split()
    return [
        Request(
            dice.choice((RULES, RULES, OTHER, "")),
            " ".join(dice.choices(words, k=dice.randrange(1, 60))),
            dice.choice(("\nAnswer:", "")),
            chat=False,
            decoding=profile,
            seed=7,
        )
        for _ in range(n)
    ]


def completed(made, requests) -> list[Completion]:
    """What the workbench does: batches as the engine cuts them, results in the order of the requests."""
    found: dict[int, Completion] = {}
    for batch in made.cut(requests):
        found |= dict(zip(batch, made.complete([requests[i] for i in batch]), strict=True))
    return [found[i] for i in range(len(requests))]


def gist(rows: list[Completion]) -> list[tuple]:
    return [(r.text, r.finish_reason, r.prompt_tokens, r.completion_tokens) for r in rows]


DRAWN = {"temperature": 0.9, "top_p": 0.9, "max_new_tokens": 5}


@pytest.mark.parametrize("decoding", [{}, DRAWN, {"stop": ("a", "the")}], ids=["greedy", "drawn", "stops"])
def test_a_shared_beginning_changes_no_text(tiny, decoding):
    requests = mixed(24, **decoding)
    single = engine(tiny, batch_size=1)  # one row shares nothing, and leaves nothing to share
    alone = [single.complete([request])[0] for request in requests]
    made = engine(tiny)
    together = completed(made, requests)
    assert gist(together) == gist(alone)
    assert len({row.text for row in together}) > 12
    assert made.facts()["near_ties"] <= 1
    again = made.complete([requests[3]])  # with the prefixes of earlier batches at hand
    assert gist(again) == gist([alone[3]])


def test_each_shared_beginning_is_computed_once(tiny):
    made = engine(tiny, batch_size=8)
    requests = [plain(RULES, f"number {i}", 2) for i in range(32)]
    rows = completed(made, requests)
    asked = sum(row.prompt_tokens for row in rows)
    shared = made.facts()["prompt_tokens_computed"]
    prefix = made.complete(requests[:1])[0].prompt_tokens - 4
    assert made.facts()["shared_prefixes"] is True
    assert shared <= asked - 31 * prefix + 40
    assert shared < asked / 10


def test_what_an_earlier_batch_began_with_serves_a_later_one(tiny):
    """The second template begins like the first: only what is new of it is computed, and the texts stay."""
    made, fresh = engine(tiny), engine(tiny)
    first = [plain(RULES + OTHER, f"number {i}", 2) for i in range(4)]
    second = [plain(RULES + "Now", f"number {i}", 2) for i in range(2)]
    made.complete(first)
    before = made.facts()["prompt_tokens_computed"]
    rows = made.complete(second)
    assert gist(rows) == gist(fresh.complete(second))
    assert made.facts()["prompt_tokens_computed"] - before < 20
    assert fresh.facts()["prompt_tokens_computed"] > 100


def test_templates_share_a_batch_and_each_is_computed_once(tiny):
    made = engine(tiny)
    requests = [
        plain((RULES * 2, OTHER * 2, "")[i % 3], f"number {i}" * (1 + i % 4), 2 + i % 5) for i in range(60)
    ]
    (batch,) = made.cut(requests)
    assert sorted(batch) == list(range(60))
    rows = completed(made, requests)
    computed = made.facts()["prompt_tokens_computed"]
    single = engine(tiny, batch_size=1)
    assert gist(rows) == gist([single.complete([request])[0] for request in requests])
    tokens = {
        prefix: single.complete([plain(prefix, "x", 1)])[0].prompt_tokens for prefix in (RULES * 2, OTHER * 2)
    }
    own = sum(row.prompt_tokens for row in rows) - 20 * sum(tokens.values())
    assert computed < own + sum(tokens.values()) + 60 * 4
    assert computed < sum(row.prompt_tokens for row in rows) / 4


def test_choices_do_not_depend_on_company(tiny):
    made = engine(tiny)
    requests = mixed(20)
    together = made.choose(requests, ("m", "M"))
    single = engine(tiny)
    for request, row in zip(requests, together, strict=True):
        (alone,) = single.choose([request], ("m", "M"))
        assert row == pytest.approx(alone, rel=1e-4)


class Crowded:
    """A forward pass that runs out of memory above a number of tokens, with torch's message."""

    def __init__(self, monkeypatch, most, error):
        from transformers import LlamaForCausalLM

        real = LlamaForCausalLM.forward

        @wraps(real)  # the engine reads the signature
        def forward(model, input_ids=None, **rest):
            self.failures += input_ids.numel() > most
            if input_ids.numel() > most:
                raise error
            return real(model, input_ids=input_ids, **rest)

        self.failures = 0
        monkeypatch.setattr(LlamaForCausalLM, "forward", forward)


def memory_errors():
    import torch

    return [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_out_of_memory_halves_the_batch_and_goes_on(tiny, monkeypatch, which):
    requests = [plain("", f"number {i}", 3) for i in range(16)]
    expected = gist(completed(engine(tiny), requests))
    made = engine(tiny)
    crowded = Crowded(monkeypatch, 20, memory_errors()[which])
    assert gist(completed(made, requests)) == expected
    assert 0 < crowded.failures == made.facts()["batches_halved_for_memory"] < 4
    assert max(map(len, made.cut(requests))) <= 8


def test_one_prompt_too_large_for_memory_is_an_error_of_its_row(tiny, monkeypatch):
    made = engine(tiny)
    short = Request("", "short", chat=False, decoding=Decoding(max_new_tokens=2))
    long = Request("", OTHER, chat=False, decoding=Decoding(max_new_tokens=2))
    Crowded(monkeypatch, 60, memory_errors()[0])
    first, second = completed(made, [long, short])
    assert first.status == "error"
    assert "out of memory" in (first.error or "")
    assert second.completion_tokens > 0


def test_another_error_is_not_taken_for_lack_of_memory(tiny, monkeypatch):
    made = engine(tiny)
    Crowded(monkeypatch, 1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        made.complete(mixed(2))


def test_a_model_of_another_kind_takes_the_plain_way(models, tmp_path):
    """A window of attention cannot be seen by a short probe; the configuration tells."""
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    from aligner_bench.engines.embedded import converted_smollm2

    tokenizer = AutoTokenizer.from_pretrained(converted_smollm2())
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MistralConfig(
        vocab_size=len(tokenizer), **shape, num_key_value_heads=2, sliding_window=16, initializer_range=0.3
    )
    MistralForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    made = engine(str(tmp_path))
    requests = mixed(6, max_new_tokens=4)
    together = completed(made, requests)
    assert made.facts()["shared_prefixes"] is False
    assert gist(together) == gist([made.complete([request])[0] for request in requests])
