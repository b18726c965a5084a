"""What published runs ask of decoding: a repetition penalty, and stop strings that stay in the answer."""

from __future__ import annotations

import json

import pytest

from aligner_bench.core.types import Decoding, Request
from aligner_bench.engines.base import model_spec
from aligner_bench.engines.openai_wire import Dialect, completion
from aligner_bench.engines.prompts import cut_at_stop

QUESTIONS = ["What do bees make?", "Name three colours, one after the other, and then the same again."]


@pytest.fixture(scope="module")
def engine(models):
    from aligner_bench.engines.hf import HFEngine

    made = HFEngine(model_spec(engine="hf", model="smollm2-135m-instruct"))
    made.load()
    return made


def test_the_repetition_penalty_is_that_of_transformers(engine, models):
    """Token by token what ``generate`` writes, alone and in a batch with a row that has no penalty."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from aligner_bench.engines.embedded import converted_smollm2

    folder = str(converted_smollm2())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    penalised = Decoding(max_new_tokens=16, repetition_penalty=2.0)
    requests = [Request(text, chat=False, decoding=penalised) for text in QUESTIONS]
    ours = [done.text for done in engine.complete(requests)]
    for text, answer in zip(QUESTIONS, ours, strict=True):
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.inference_mode():
            made = model.generate(ids, max_new_tokens=16, do_sample=False, repetition_penalty=2.0)
        assert answer == tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True).strip()
    plain = engine.complete([Request(QUESTIONS[1], chat=False, decoding=Decoding(max_new_tokens=16))])
    assert plain[0].text != ours[1]


def test_a_kept_stop_string_is_the_last_part_of_the_answer(engine):
    base = Decoding(max_new_tokens=40, repetition_penalty=2.0)
    kept = base.model_copy(update={"stop_after": (".", "!")})
    cut = base.model_copy(update={"stop": (".", "!")})
    with_stop = engine.complete([Request(QUESTIONS[0], decoding=kept)])[0]
    without = engine.complete([Request(QUESTIONS[0], decoding=cut)])[0]
    assert with_stop.finish_reason == without.finish_reason == "stop_string"
    assert with_stop.text[-1] in ".!"
    assert with_stop.text[:-1] == without.text


def test_the_first_stop_decides():
    assert cut_at_stop("one. two [DONE] three", (" [DONE]",), (".",)) == ("one.", True)
    assert cut_at_stop("one [DONE] two. three", (" [DONE]",), (".",)) == ("one", True)
    assert cut_at_stop("none", (" [DONE]",), (".",)) == ("none", False)


def test_a_server_is_told_in_vllms_words_and_only_where_needed():
    wire = Dialect("m", True, "max_tokens")
    plain = wire.call(Request("q")).body
    assert not {"repetition_penalty", "include_stop_str_in_output", "stop"} & set(plain)
    rules = Decoding(stop=("END",), stop_after=(".",), repetition_penalty=2.0)
    call = wire.call(Request("q", decoding=rules))
    assert call.body["stop"] == ["END", "."]
    assert call.body["include_stop_str_in_output"] is True
    assert call.body["repetition_penalty"] == 2.0
    reply = {"choices": [{"message": {"content": "Yes. And"}, "finish_reason": "stop"}]}
    assert completion(reply, call, 0.0).text == "Yes."


def test_the_ledgers_keys_of_items_without_these_rules_are_what_they_were():
    assert json.dumps(Request("q").key_fields()["decoding"]) == (
        '{"max_new_tokens": 256, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "stop": []}'
    )
    ruled = Request("q", decoding=Decoding(repetition_penalty=2.0)).key_fields()["decoding"]
    assert ruled["repetition_penalty"] == 2.0
    assert Decoding.model_validate(ruled) == Decoding(repetition_penalty=2.0)


def test_log_probabilities_are_those_of_the_next_token(engine):
    import math

    decoding = Decoding(max_new_tokens=3)
    asked = [Request(text, decoding=decoding, top_logprobs=5) for text in QUESTIONS]
    done = engine.complete([*asked, Request(QUESTIONS[0], decoding=decoding)])
    assert [len(row.logprobs) for row in done] == [3, 3, 0]
    assert done[0].text == done[2].text
    for row, request in zip(done, asked, strict=False):
        first = row.logprobs[0]
        assert len(first) == 5
        assert list(first.values()) == sorted(first.values(), reverse=True)
        token, value = next(iter(first.items()))
        assert row.text.startswith(token.strip())
        assert engine.choose([request], [token])[0][token] == pytest.approx(math.exp(value), abs=1e-5)
