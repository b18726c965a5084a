"""The ``vllm`` engine: vLLM in this process, on GPUs or a CPU.

All items of a call enter one continuous batch across suites; results leave it as they are
completed, so that a kill loses only what is in flight. Prefix caching is on: the templates of aligners and
judges are computed once. Aligners that are LoRA adapters over one base share its weights.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Completion, FinishReason, Request
from aligner_bench.engines.base import Hooks, ModelSpec
from aligner_bench.engines.continuous_batch import (
    Ready,
    Work,
    completion_work,
    order_by_prefix,
    stream_batch,
)
from aligner_bench.engines.prompts import (
    PromptBuilder,
    TransformersTokenizer,
    cut_at_stop,
    first_tokens,
    item_seed,
)
from aligner_bench.engines.streaming import in_order
from aligner_bench.engines.vllm_env import installed_vllm, repeatability
from aligner_bench.engines.vllm_fields import VLLMFields
from aligner_bench.engines.vllm_shared import Loaded, acquire, model_identity, release

_REASONS: dict[str, FinishReason] = {"length": "length", "stop": "stop"}


class VLLMModel(VLLMFields):
    """A model of vLLM in this process."""

    def make(self) -> VLLMEngine:
        """Return the engine; ``load`` loads the weights."""
        return VLLMEngine(self)


class VLLMEngine:
    """One model of vLLM. ``identity`` only reads files; ``load`` imports vLLM."""

    def __init__(self, spec: VLLMModel) -> None:
        self._spec = spec
        self._beside: Sequence[ModelSpec] = ()
        self._loaded: Loaded | None = None

    def identity(self) -> dict[str, Any]:
        """Return weights, adapter, precision, vLLM's version, and options of kernels and context."""
        return {"engine": "vllm", **model_identity(self._spec, installed_vllm())}

    def load_beside(self, models: Sequence[ModelSpec]) -> None:
        """Register all models of the run before ``load``: adapters on the same weights share them."""
        self._beside = models

    def load(self) -> None:
        """Load the weights, unless an engine over the same base has loaded them."""
        self._loaded = acquire(self._spec, self._beside)
        self._loaded.wake()
        self._tokenizer = TransformersTokenizer(self._loaded.llm.get_tokenizer())
        self._prompts = PromptBuilder(self._tokenizer, self._loaded.context, chat=self._spec.chat)

    def close(self) -> None:
        """Free the weights at the end of the run."""
        self.unload()

    def unload(self) -> None:
        """Release the weights; memory is freed once no engine uses them. ``load`` may be called again."""
        if self._loaded is not None:
            self._loaded = None
            release(self._spec)

    def facts(self) -> dict[str, Any]:
        """Return vLLM's version, the device, the models sharing the weights, and whether texts repeat."""
        if self._loaded is None:
            return {}
        device = self._loaded.device
        said = repeatability(os.environ, device, offline=True)
        return {"version": installed_vllm(), "device": device, "shared_by": self._loaded.users, **said}

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all requests, in order. A prompt that does not fit gives status error."""
        return in_order(self.stream, requests)

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Return the exact next-token probability of each choice's first token, at temperature 1.

        Raises UsageError where two choices begin with the same token, or a prompt exceeds the context.
        """
        return in_order(lambda keyed: self.stream_choices(keyed, choices), requests)

    def stream(
        self, requests: Mapping[str, Request], hooks: Hooks | None = None
    ) -> Iterator[dict[str, Completion]]:
        """Yield completions by key, in bundles of what was completed within about two seconds."""
        work = completion_work(requests, self._prompts, self._sampling, self._completion, hooks or Hooks())
        yield from stream_batch(order_by_prefix(requests), self._batch(), work)

    def stream_choices(
        self, requests: Mapping[str, Request], choices: Sequence[str], hooks: Hooks | None = None
    ) -> Iterator[dict[str, dict[str, float]]]:
        """Yield choice probabilities by key, in the same bundles."""
        first = first_tokens(
            lambda choice: self._tokenizer.encode(choice, special=False), choices, self._spec.model
        )
        settings = _asking_for(first)

        def prepare(key: str) -> Ready | dict[str, float]:
            ids, _ = self._prompts.encode(requests[key], 1)
            if not ids:
                start = requests[key].prefix[:60]
                raise UsageError(f"a judge prompt exceeds {self._prompts.context} tokens: {start!r}…")
            return Ready(ids, settings)

        def finish(_: str, output: Any, __: float) -> dict[str, float]:
            told = output.outputs[0].logprobs[0]
            return {name: math.exp(told[token].logprob) for name, token in zip(choices, first, strict=True)}

        work = Work(prepare, finish, (hooks or Hooks()).may_start)
        yield from stream_batch(order_by_prefix(requests), self._batch(), work)

    def _sampling(self, request: Request) -> Any:
        return _sampling(request, self._prompts.stop_ids(request))

    def _completion(self, request: Request, output: Any) -> Completion:
        return _completion(request, output, self._prompts.stop_ids(request))

    def _batch(self) -> _Batch:
        assert self._loaded is not None, "call load first"
        self._loaded.wake()
        return _Batch(self._loaded, self._adapter())

    def _adapter(self) -> Any:
        """Return the LoRA request of the adapter; None without one."""
        if self._spec.lora is None:
            return None
        from vllm.lora.request import LoRARequest

        assert self._loaded is not None
        return LoRARequest(self._spec.lora.name, self._loaded.adapters[self._spec.lora], str(self._spec.lora))


class _Batch:
    """vLLM's scheduler, filled request by request and advanced step by step."""

    def __init__(self, loaded: Loaded, adapter: Any) -> None:
        self._engine = loaded.llm.llm_engine
        self._next_id = loaded.next_id
        self._adapter = adapter
        self._keys: dict[str, str] = {}

    def add(self, key: str, ready: Ready) -> None:
        """Add a request, by token ids."""
        number = self._next_id()
        prompt = {"prompt_token_ids": ready.ids}
        self._engine.add_request(number, prompt, ready.settings, lora_request=self._adapter)
        self._keys[number] = key

    def step(self) -> list[tuple[str, Any]]:
        """Compute one step; return the completed requests."""
        return [(self._keys.pop(out.request_id), out) for out in self._engine.step() if out.finished]

    def drop(self) -> None:
        """Abort unfinished requests."""
        if self._keys:
            self._engine.abort_request(list(self._keys))
            self._keys.clear()


def _sampling(request: Request, stop_ids: Sequence[int]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    decoding = request.decoding
    options: dict[str, Any] = {"temperature": decoding.temperature}
    if decoding.temperature > 0:
        # Torch's generators take signed 64-bit seeds.
        options |= {"top_p": decoding.top_p, "top_k": decoding.top_k, "seed": item_seed(request) >> 65}
    return SamplingParams(
        max_tokens=decoding.max_new_tokens,
        stop=[*decoding.stop, *decoding.stop_after] or None,
        stop_token_ids=list(stop_ids) or None,
        skip_special_tokens=decoding.special_tokens == "skip",
        include_stop_str_in_output=bool(decoding.stop_after),
        repetition_penalty=decoding.repetition_penalty,
        logprobs=request.top_logprobs or None,
        output_kind=RequestOutputKind.FINAL_ONLY,
        **options,
    )


def _asking_for(tokens: list[int]) -> Any:
    """Return the settings for one token with these tokens' log-probabilities, before temperature."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        logprob_token_ids=tokens,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _completion(request: Request, output: Any, stop_ids: Sequence[int]) -> Completion:
    made = output.outputs[0]
    text, stopped = cut_at_stop(made.text, request.decoding.stop, request.decoding.stop_after)
    reason = _REASONS.get(made.finish_reason, "error")
    by_id = made.stop_reason in stop_ids
    if stopped or by_id or isinstance(made.stop_reason, str):
        reason = "stop_string"
    # vLLM counts the end token, which is not part of the answer.
    count = len(made.token_ids) - (reason == "stop" or by_id)
    error = f"vLLM ended the answer: {made.finish_reason}" if reason == "error" else None
    tops = tuple(_best(told, request.top_logprobs) for told in (made.logprobs or ())[:count])
    return Completion(text, reason, completion_tokens=count, error=error, logprobs=tops)


def _best(told: Mapping[int, Any], most: int) -> dict[str, float]:
    """Return the most probable tokens of one position, without the chosen one that vLLM may add."""
    best: dict[str, float] = {}
    for entry in sorted(told.values(), key=lambda entry: -entry.logprob)[:most]:
        best.setdefault(str(entry.decoded_token), float(entry.logprob))
    return best
