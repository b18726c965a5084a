"""The ``openvino`` engine: OpenVINO GenAI on a CPU, without torch or transformers.

It reads GGUF files in their quantised form, and folders with an OpenVINO IR (``optimum-cli export
openvino``). A quantised file is a different model from a float copy made from it: identity and facts name
the format. ``unpack_gguf`` gives OpenVINO the weights that the other engines have.

With ``dtype: float32`` an item's greedy text does not depend on its batch; this requires activations that
are not quantised and a float32 cache, neither of which is OpenVINO's default. ``bfloat16`` is faster:
activations over quantised weights are quantised too, and a third of the texts depend on their batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import Field

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.types import Completion, FinishReason, Request
from aligner_bench.engines.base import Hooks
from aligner_bench.engines.continuous_batch import (
    Ready,
    completion_work,
    order_by_prefix,
    stream_batch,
)
from aligner_bench.engines.embedded import SMOLLM2, embedded_path
from aligner_bench.engines.gguf import gguf_context, gguf_kind, is_gguf
from aligner_bench.engines.memory import CPU_CACHE, resident_bytes
from aligner_bench.engines.openvino_files import check_ir, ir_context, unpacked_gguf
from aligner_bench.engines.prompts import PromptBuilder, cut_at_stop, item_seed, weights_identity
from aligner_bench.engines.streaming import in_order
from aligner_bench.engines.weights import WeightsModel

_VERSION = 1  # part of the identity: raise it when the same weights would give other texts
_ROWS = 256  # per step
_PROPERTIES: dict[str, dict[str, Any]] = {
    "float32": {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    },
    "bfloat16": {"INFERENCE_PRECISION_HINT": "bf16", "KV_CACHE_PRECISION": "bf16"},
    "float16": {"INFERENCE_PRECISION_HINT": "f16", "KV_CACHE_PRECISION": "f16"},
}
_DEFAULT_CONTEXT = 2048
_SHARED = 96  # length in tokens of a common prefix worth waiting for
_NO_PROBABILITIES = (
    "engine openvino gives no log-probabilities of tokens that were not sampled; judges that read them need "
    "a model with engine hf, vllm, vllm-server or openai"
)


class OpenVINOModel(WeightsModel):
    """A model of OpenVINO GenAI: a packaged name, a GGUF file or an IR folder."""

    max_model_len: int | None = Field(None, ge=16, description="tokens of a prompt and its answer together")
    kv_cache_gb: float | None = Field(None, gt=0, description="GiB for the key-value cache (2 on CPUs)")
    unpack_gguf: bool = Field(
        False, description="a GGUF file's numbers as 16-bit floats, not as they are stored"
    )

    def make(self) -> OpenVINOEngine:
        """Return the engine; ``load`` reads the model."""
        return OpenVINOEngine(self)

    def resident_bytes(self) -> int:
        """Return the bytes of weights and key-value cache."""
        return resident_bytes(self.model, self.dtype, self.kv_cache_gb or CPU_CACHE)


class OpenVINOEngine:
    """One model of OpenVINO GenAI, with continuous batching and prefix caching."""

    cannot_choose = _NO_PROBABILITIES
    """Why ``choose`` fails, so that planning can report it before a run."""

    def __init__(self, spec: OpenVINOModel) -> None:
        self._spec = spec
        self._path = embedded_path(SMOLLM2) if spec.model == SMOLLM2 else Path(spec.model)

    def identity(self) -> dict[str, Any]:
        """Return weights and their format, precision, and OpenVINO's version."""
        spec = self._spec
        identity = {
            "engine": "openvino",
            "version": _VERSION,
            "openvino_genai": _installed(),
            "format": self._format(),
            "dtype": spec.dtype,
            "chat": spec.chat,
            **weights_identity(spec),
        }
        return identity | ({"max_model_len": spec.max_model_len} if spec.max_model_len else {})

    def load(self) -> None:
        """Read and compile the model (seconds). Raises UsageError where it cannot be loaded."""
        import openvino_genai

        source = unpacked_gguf(self._path) if self._unpacks() else self._path
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = math.ceil(self._spec.kv_cache_gb or CPU_CACHE)
        scheduler.max_num_seqs = _ROWS
        scheduler.enable_prefix_caching = True
        try:
            self._pipeline: Any = openvino_genai.ContinuousBatchingPipeline(
                str(source), scheduler, "CPU", _PROPERTIES[self._spec.dtype], {}
            )
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UsageError(f"engine openvino: cannot load model {self._spec.model!r}: {reason}") from error
        self._tokenizer = _Tokenizer(self._pipeline.get_tokenizer())
        self._prompts = PromptBuilder(self._tokenizer, self._context(), chat=self._spec.chat)
        config = self._pipeline.get_config()
        self._ends = {*config.stop_token_ids, config.eos_token_id}

    def unload(self) -> None:
        """Free the model; ``load`` may be called again."""
        self._pipeline = None

    def facts(self) -> dict[str, Any]:
        """Return OpenVINO's version, the format of the weights, and whether texts depend on their batch."""
        return {
            "version": f"openvino-genai {_installed()}",
            "device": "cpu",
            "weights": self._format(),
            "batch_invariant": self._spec.dtype == "float32",
        }

    def weights_note(self) -> str:
        """Return the report's note on quantised weights, which differ from those of other engines."""
        stored = self._format()
        if self._unpacks() or not stored.startswith("GGUF") or stored in ("GGUF F16", "GGUF BF16"):
            return ""
        return f"has the weights as its file stores them ({stored}): another model than in 16 or 32 bits."

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all requests, in order. A prompt that does not fit gives status error."""
        return in_order(self.stream, requests)

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Raise UsageError: not available with this engine."""
        raise UsageError(_NO_PROBABILITIES)

    def stream(
        self, requests: Mapping[str, Request], hooks: Hooks | None = None
    ) -> Iterator[dict[str, Completion]]:
        """Yield completions by key, in bundles of what was completed within about two seconds."""
        work = completion_work(requests, self._prompts, self._settings, self._completion, hooks or Hooks())
        yield from stream_batch(order_by_prefix(requests), _Batch(self._pipeline), work, 2 * _ROWS)

    def stream_choices(
        self, requests: Mapping[str, Request], choices: Sequence[str], hooks: Hooks | None = None
    ) -> Iterator[dict[str, dict[str, float]]]:
        """Raise UsageError: not available with this engine."""
        raise UsageError(_NO_PROBABILITIES)

    def _format(self) -> str:
        if self._spec.model == SMOLLM2 or is_gguf(str(self._path)):
            return f"GGUF {gguf_kind(self._path)}" + (", unpacked to F16" if self._unpacks() else "")
        check_ir(self._path)
        return "OpenVINO IR"

    def _unpacks(self) -> bool:
        return self._spec.unpack_gguf and self._path.is_file()

    def _context(self) -> int:
        found = gguf_context(self._path) if self._path.is_file() else ir_context(self._path)
        limit = found or _DEFAULT_CONTEXT
        return min(limit, self._spec.max_model_len or limit)

    def _settings(self, request: Request) -> Any:
        """Return OpenVINO's settings for one request, with the model's own end tokens."""
        if request.top_logprobs:
            raise UsageError(_NO_PROBABILITIES)
        decoding, config = request.decoding, self._pipeline.get_config()
        config.max_new_tokens = decoding.max_new_tokens
        config.stop_strings = {*decoding.stop, *decoding.stop_after}
        # The stop strings of OpenVINO are looked for in a text without special tokens.
        config.stop_token_ids = {*config.stop_token_ids, *self._prompts.stop_ids(request)}
        config.include_stop_str_in_output = bool(decoding.stop_after)
        config.repetition_penalty = decoding.repetition_penalty
        config.do_sample = decoding.temperature > 0
        if config.do_sample:
            config.temperature = decoding.temperature
            config.top_p = decoding.top_p
            config.rng_seed = item_seed(request) >> 64
            if decoding.top_k:
                config.top_k = decoding.top_k
        return config

    def _completion(self, request: Request, output: Any) -> Completion:
        ids, finish, ends = output
        reason: FinishReason = "length"
        if finish not in ("STOP", "LENGTH"):
            fault = f"OpenVINO gave no answer ({finish}): kv_cache_gb may be too small"
            return Completion("", "error", error=fault)
        ended = bool(ids) and finish == "STOP" and ids[-1] in ends
        if finish == "STOP":
            reason = "stop" if ended and ids[-1] in self._ends else "stop_string"
        # OpenVINO includes the end token, which is not part of the answer.
        count = len(ids) - ended
        decoding = request.decoding
        shown = self._tokenizer.text if decoding.special_tokens == "skip" else self._tokenizer.decode
        text, _ = cut_at_stop(shown(ids[:count]), decoding.stop, decoding.stop_after)
        return Completion(text, reason, completion_tokens=count)


class _Batch:
    """OpenVINO's scheduler, filled request by request and advanced step by step.

    OpenVINO looks up a cached prefix when a request arrives, and caches a prefix once it is computed. A
    request therefore waits while another one with the same prefix is being read, until that one has its
    first token.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._waiting: list[tuple[str, Ready]] = []
        self._reading: dict[str, list[int]] = {}
        self._handles: dict[str, tuple[Any, set[int]]] = {}
        self._number = 0

    def add(self, key: str, ready: Ready) -> None:
        """Add a request, by token ids."""
        self._waiting.append((key, ready))

    def step(self) -> list[tuple[str, Any]]:
        """Compute one step; return ids, finish reason and end tokens of the completed requests."""
        self._admit()
        self._pipeline.step()
        ended = []
        for key, (handle, ends) in list(self._handles.items()):
            status = handle.get_status().name
            if key in self._reading and (status != "RUNNING" or handle.can_read()):
                del self._reading[key]
            if status != "RUNNING":
                del self._handles[key]
                made = handle.read_all() if status == "FINISHED" else []
                found = (list(made[0].generated_ids), made[0].finish_reason.name) if made else ([], status)
                ended.append((key, (*found, ends)))
        return ended

    def drop(self) -> None:
        """Cancel unfinished requests, so that the next stream starts with an empty batch."""
        for handle, _ in self._handles.values():
            handle.cancel()
        self._handles.clear()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def _admit(self) -> None:
        held = []
        for key, ready in self._waiting:
            if any(_begin_alike(ready.ids, other) for other in self._reading.values()):
                held.append((key, ready))
            else:
                self._start(key, ready)
        self._waiting = held

    def _start(self, key: str, ready: Ready) -> None:
        import numpy as np
        import openvino

        self._number += 1
        ids = openvino.Tensor(np.array([ready.ids], dtype=np.int64))
        ends = {*ready.settings.stop_token_ids, ready.settings.eos_token_id}
        self._handles[key] = (self._pipeline.add_request(self._number, ids, ready.settings), ends)
        self._reading[key] = ready.ids


def _begin_alike(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) > _SHARED and one[:_SHARED] == other[:_SHARED]


class _Tokenizer:
    """OpenVINO's tokenizer as a ``PromptTokenizer``."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return token ids."""
        if not text:
            return []
        return [int(i) for i in self._tokenizer.encode(text, add_special_tokens=special).input_ids.data[0]]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, including special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False)) if ids else ""

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        return str(self._tokenizer.decode(list(ids))) if ids else ""

    def render(self, turns: Sequence[dict[str, str]]) -> str | None:
        """Return the turns in the chat template; None for a model without one."""
        if not self._tokenizer.chat_template:
            return None
        return str(self._tokenizer.apply_chat_template(list(turns), add_generation_prompt=True))


def _installed() -> str:
    try:
        return version("openvino-genai")
    except PackageNotFoundError as error:
        raise MissingExtraError("openvino-genai", "openvino", "engine openvino") from error
