"""Separators that are special tokens: answers end at them, and show them only where that is asked for."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from aligner_bench.core.types import Answer, Decoding, Request
from aligner_bench.correctors.aligner import AlignerSpec, aligner_request
from aligner_bench.correctors.answers import Item
from aligner_bench.engines.base import make_engine, model_spec
from aligner_bench.engines.openai_wire import Dialect, completion
from tests.engines.tiny_llama import write_tiny_llama

SEPARATORS = [" [INIT]", " [ALIGNED]", " [DONE]"]
NEW = 24


def correction(template="ngweta"):
    """An aligner's request."""
    item = Item("p", "Name a colour.", Answer("Red.", "ok", "stop"), Decoding(max_new_tokens=NEW))
    spec = AlignerSpec(kind="aligner", model="m", template=template)
    return aligner_request(spec, item, item.answer.text)


def loaded(folder):
    made = make_engine(model_spec(engine="hf", model=str(folder)))
    made.load()
    return made


@pytest.fixture(scope="module")
def aligner(models, tmp_path_factory):
    """A model with Ngweta et al.'s separators as special tokens, which writes `` [DONE]`` as its ninth token.

    The output row of `` [DONE]`` is a longer copy of that of the token which the model would write there.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = write_tiny_llama(tmp_path_factory.mktemp("separators"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": SEPARATORS})
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    request = correction()
    ids = tokenizer.encode(request.prefix + request.answer + request.suffix, return_tensors="pt")
    done = tokenizer.convert_tokens_to_ids(" [DONE]")
    with torch.no_grad():
        model.lm_head.weight[-len(SEPARATORS) :] = 0
        made = model.generate(ids, max_new_tokens=NEW, do_sample=False)[0, ids.shape[1] :].tolist()
        at = next(i for i, token in enumerate(made) if i >= 8 and token not in made[:i])
        model.lm_head.weight[done] = 1.5 * model.lm_head.weight[made[at]]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, tokenizer.decode(made[:at], skip_special_tokens=True).strip(), at


def test_an_aligner_with_special_separators_ends_at_done_with_a_clean_text(aligner):
    folder, text, tokens = aligner
    (done,) = loaded(folder).complete([correction()])
    assert (done.text, done.finish_reason, done.completion_tokens) == (text, "stop_string", tokens)
    assert text


def test_without_the_stop_string_the_same_model_goes_on(aligner):
    folder, text, _ = aligner
    request = correction()
    plain = Request(
        request.prefix, request.answer, request.suffix, chat=False, decoding=Decoding(max_new_tokens=NEW)
    )
    (done,) = loaded(folder).complete([plain])
    assert (done.finish_reason, done.completion_tokens) == ("length", NEW)
    assert done.text.startswith(text)
    assert "[DONE]" not in done.text


def test_kept_special_tokens_are_part_of_the_text(aligner):
    folder, text, _ = aligner
    template = {
        "text": "{question} [INIT] {answer} [ALIGNED] ",
        "special_tokens": "keep",
    }
    (done,) = loaded(folder).complete([correction(template)])
    assert done.finish_reason == "length"
    assert done.text.startswith(f"{text} [DONE]")
    (ended,) = loaded(folder).complete([correction({**template, "stop": [" [DONE]"]})])
    assert (ended.text, ended.finish_reason) == (text, "stop_string")


def test_separators_of_plain_text_have_no_id_and_end_answers_as_before(models, tmp_path):
    """SmolLM2's tokenizer knows no `` [DONE]``; the first text of the model's own serves as a stop string."""
    engine = loaded(write_tiny_llama(tmp_path))
    request = correction()
    assert engine._prompts.stop_ids(request) == []
    (free,) = engine.complete([request])
    stop = free.text[5:8]
    decoding = request.decoding.model_copy(update={"stop": (stop,)})
    ended = Request(request.prefix, request.answer, request.suffix, chat=False, decoding=decoding)
    assert engine._prompts.stop_ids(ended) == []
    (done,) = engine.complete([ended])
    assert (done.text, done.finish_reason) == (free.text[: free.text.index(stop)].strip(), "stop_string")


def test_openvino_ends_at_special_tokens_too(models):
    if find_spec("openvino_genai") is None:
        pytest.skip("not installed: openvino-genai (extra openvino)")
    fields = {"engine": "openvino", "model": "smollm2-135m-instruct", "kv_cache_gb": 1}
    engine = make_engine(model_spec(**fields))
    engine.load()
    pattern = "red <|im_start|> green\n" * 12 + "red"

    def asked(**decoding):
        how = Decoding(max_new_tokens=8, **decoding)
        return engine.complete([Request(pattern, chat=False, decoding=how)])[0]

    kept, skipped = asked(special_tokens="keep"), asked()
    assert "<|im_start|>" in kept.text
    assert "<|im_start|>" not in skipped.text
    ended = asked(stop=(" <|im_start|>",))
    assert ended.finish_reason == "stop_string"
    assert ended.completion_tokens < skipped.completion_tokens
    assert ended.text == kept.text.partition("<|im_start|>")[0].strip()


def test_keys_of_requests_that_say_nothing_of_special_tokens_stay_what_they_were():
    said = correction().key_fields()["decoding"]
    assert set(said) == {"max_new_tokens", "temperature", "top_p", "top_k", "stop"}
    kept = correction({"text": "{question} {answer}", "special_tokens": "keep"})
    assert kept.key_fields()["decoding"]["special_tokens"] == "keep"


@pytest.mark.parametrize(("strict", "sent"), [(False, False), (True, None)])
def test_servers_other_than_openais_are_asked_for_special_tokens(strict, sent):
    request = correction({"text": "{question} {answer}", "special_tokens": "keep"})
    dialect = Dialect("m", True, "max_tokens", strict=strict)
    assert dialect.call(request).body.get("skip_special_tokens") is sent
    assert "skip_special_tokens" not in dialect.call(correction()).body


def test_a_stop_by_token_id_is_read_from_a_vllm_servers_reply():
    request = Request("x", chat=False, decoding=Decoding(), extra='{"stop_token_ids": [7]}')
    call = Dialect("m", True, "max_tokens").call(request)
    assert call.body["stop_token_ids"] == [7]
    reply = {"choices": [{"text": "a", "finish_reason": "stop", "stop_reason": 7}]}
    assert completion(reply, call, 0.0).finish_reason == "stop_string"
    reply["choices"][0]["stop_reason"] = 2
    assert completion(reply, call, 0.0).finish_reason == "stop"
