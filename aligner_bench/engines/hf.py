"""The ``hf`` engine: any causal language model of transformers, on CPU or GPU, GGUF files included.

The decoding loop is this package's own, because ``generate`` lacks: a random stream per item (so that a
sampled answer does not depend on its batch), rows that leave the batch when they end, exact cuts at stop
strings, and a prefix that all prompts of a batch share being computed once.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.types import Completion, Request
from aligner_bench.engines.batches import Budget, cut, halving
from aligner_bench.engines.decoding import Decoded, decode_batch
from aligner_bench.engines.embedded import SMOLLM2, converted_smollm2
from aligner_bench.engines.gguf import converted_gguf, gguf_digest, is_gguf
from aligner_bench.engines.memory import kv_bytes_per_token, total_memory
from aligner_bench.engines.prompts import PromptBuilder, TransformersTokenizer, first_tokens, weights_identity
from aligner_bench.engines.weights import WeightsModel

if TYPE_CHECKING:
    from aligner_bench.engines.forward import Forward

_VERSION = 3  # part of the identity: raise it when the same weights would give other texts
# Rows per batch where the user gives none: SmolLM2 in bfloat16 on a CPU core decodes 12 to 17 % more tokens
# per second with 128 rows than with 64. A kill loses at most one batch.
_ROWS = {"cpu": 128, "cuda": 256}
_CACHE_SHARE = 0.25  # share of all memory, for keys and values
ResultT = TypeVar("ResultT")


class HFModel(WeightsModel):
    """A model of transformers."""

    def make(self) -> HFEngine:
        """Return the engine; ``load`` loads the weights."""
        return HFEngine(self)


class HFEngine:
    """One transformers model. ``identity`` only reads files; ``load`` imports torch."""

    def __init__(self, spec: HFModel) -> None:
        self._spec = spec
        self._name: str = spec.model
        self._memory: int | None = None
        self._near_ties = 0
        self._known: dict[tuple[Request, int], tuple[list[int], int]] = {}
        self.prompt_tokens_computed = 0
        """Prompt tokens computed: fewer than the prompts have where they share a prefix."""

    def identity(self) -> dict[str, Any]:
        """Return weights, precision and whether the chat template is used."""
        spec = self._spec
        base = {"engine": "hf", "version": _VERSION, "dtype": spec.dtype, "chat": spec.chat}
        return {**base, **weights_identity(spec)}

    def limit_memory(self, total: int | None) -> None:
        """Set how many bytes all models may take together (None: no limit); called before ``load``."""
        self._memory = total

    def load(self) -> None:
        """Load weights and tokenizer onto the GPU if there is one, else the CPU."""
        try:
            import torch
            from transformers.utils import logging
        except ImportError as error:
            raise MissingExtraError(str(error.name), "hf", "engine hf") from error
        from aligner_bench.engines.forward import PrefixStore, fast_path
        from aligner_bench.engines.onednn_linear import reorder_weights

        logging.disable_progress_bar()
        self._tokenizer, model = self._read(self._source())
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(device).eval()
        self._stop_ids = self._end_ids()
        limit = getattr(model.config, "max_position_embeddings", None)
        self._prompts = PromptBuilder(
            TransformersTokenizer(self._tokenizer), int(limit or 2048), chat=self._spec.chat
        )
        self._reordered = reorder_weights(model)
        self._shares_prefixes = fast_path(model)
        self._prefixes = PrefixStore(model) if self._shares_prefixes else None
        a_token = kv_bytes_per_token(model.config.get_text_config(), model.dtype.itemsize)
        tokens = int((self._memory or total_memory()) * _CACHE_SHARE / a_token)
        self.budget = Budget(self._spec.batch_size or _ROWS[device], tokens)

    def unload(self) -> None:
        """Free the memory; ``load`` may be called again."""
        del self._model, self._tokenizer, self._prompts, self._prefixes
        self._known = {}
        _release()

    def facts(self) -> dict[str, Any]:
        """Return the engine's facts for the manifest.

        ``near_ties`` counts greedy tokens whose two best logits lay within 1e-3: only there can the same
        item in another batch, in float32, get another text.
        """
        return {
            "shared_prefixes": self._shares_prefixes,
            "packed_weights": self._reordered,
            "prompt_tokens_computed": self.prompt_tokens_computed,
            "batches_halved_for_memory": self.budget.halvings,
            "near_ties": self._near_ties,
        }

    def cut(self, requests: Sequence[Request], new_tokens: int | None = None) -> list[list[int]]:
        """Return the indices of requests that share a batch: by shared prefix, length and budget."""
        new = [_new_tokens(request, new_tokens) for request in requests]
        self._known = {
            (r, n): self._prompts.encode(r, n) for r, n in dict.fromkeys(zip(requests, new, strict=True))
        }
        prompts = [self._known[key][0] for key in zip(requests, new, strict=True)]
        return cut(prompts, new, self.budget)

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete one batch, in parts where it does not fit memory.

        A prompt that does not fit the context without its answer, or memory even alone, gives a completion
        with status error.
        """
        start = time.perf_counter()
        new = [request.decoding.max_new_tokens for request in requests]
        encoded = [self._encode(request, n) for request, n in zip(requests, new, strict=True)]
        too_long = Completion(
            "", "error", error=f"too_long: the prompt alone exceeds {self._prompts.context} tokens"
        )
        completions = [too_long] * len(requests)
        prompts = [ids for ids, _ in encoded]
        fitting = [i for i, ids in enumerate(prompts) if ids]
        rows = self._within_memory(
            fitting,
            lambda i: len(prompts[i]) + new[i],
            lambda batch: self._decode([prompts[i] for i in batch], [requests[i] for i in batch]),
            Decoded("", "error", 0, 0),
        )
        share = (time.perf_counter() - start) / max(len(requests), 1)
        for i, row in zip(fitting, rows, strict=True):
            ids, n_cut = encoded[i]
            error = f"out of memory with one prompt of {len(ids)} tokens" if row.reason == "error" else None
            completions[i] = Completion(
                row.text, row.reason, len(ids), row.tokens, n_cut, round(share, 4), error, row.logprobs
            )
        return completions

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Return the probability of each choice's first token; empty where memory cannot hold the prompt.

        Raises UsageError where two choices begin with the same token and cannot be distinguished.
        """
        first = first_tokens(
            lambda choice: self._tokenizer.encode(choice, add_special_tokens=False), choices, self._name
        )
        prompts = [self._encode(request, 1)[0] for request in requests]
        for ids, request in zip(prompts, requests, strict=True):
            if not ids:
                raise UsageError(
                    f"a judge prompt exceeds {self._prompts.context} tokens: {request.prefix[:60]!r}…"
                )
        rows: list[list[float]] = self._within_memory(
            range(len(prompts)),
            lambda i: len(prompts[i]) + 1,
            lambda batch: self._probabilities([prompts[i] for i in batch], first),
            [],
        )
        return [dict(zip(choices, row, strict=True)) if row else {} for row in rows]

    def _encode(self, request: Request, new_tokens: int) -> tuple[list[int], int]:
        return self._known.get((request, new_tokens)) or self._prompts.encode(request, new_tokens)

    def _within_memory(
        self,
        batch: Sequence[int],
        width: Callable[[int], int],
        run: Callable[[Sequence[int]], list[ResultT]],
        lost: ResultT,
    ) -> list[ResultT]:
        import torch

        def release() -> None:
            if self._prefixes is not None:
                self._prefixes.clear()
            _release()

        with torch.inference_mode():
            return halving(batch, width, run, lost, release, self.budget)

    def _decode(self, prompts: Sequence[Sequence[int]], requests: Sequence[Request]) -> list[Decoded]:
        forward = self._forward()
        stops = [self._prompts.stop_ids(request) for request in requests]
        rows = decode_batch(forward, self._tokenizer, prompts, requests, self._stop_ids, stops)
        self.prompt_tokens_computed += forward.computed
        self._near_ties += sum(row.near_ties for row in rows)
        return rows

    def _probabilities(self, prompts: Sequence[Sequence[int]], tokens: Sequence[int]) -> list[list[float]]:
        """Return the probability of each of ``tokens`` after each prompt."""
        import torch

        from aligner_bench.engines.forward import grouped, passes

        found: dict[int, list[float]] = {}
        for group in grouped(prompts):
            for rows in passes([len(prompts[i]) for i in group], self._model.device):
                forward = self._forward()
                logits = forward.begin([[prompts[i] for i in group[rows]]], 0)
                values = torch.softmax(logits.double(), dim=-1)[:, list(tokens)].tolist()
                found |= dict(zip(group[rows], values, strict=True))
                self.prompt_tokens_computed += forward.computed
        return [found[i] for i in range(len(prompts))]

    def _forward(self) -> Forward:
        from aligner_bench.engines.forward import PlainForward, SharedForward

        if self._prefixes is None:
            return PlainForward(self._model)
        return SharedForward(self._model, self._prefixes)

    def _source(self) -> str:
        if self._name == SMOLLM2:
            return str(converted_smollm2())
        if is_gguf(self._name):
            path = Path(self._name)
            return str(converted_gguf(path, f"gguf-{gguf_digest(path)[:16]}"))
        return self._name

    def _read(self, source: str) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        revision = self._spec.revision
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
            model = AutoModelForCausalLM.from_pretrained(
                source, revision=revision, dtype=getattr(torch, self._spec.dtype)
            )
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"engine hf: cannot load model {self._name!r}: {reason}") from error
        return tokenizer, model

    def _end_ids(self) -> set[int]:
        configured = self._model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {i for i in [*ids, self._tokenizer.eos_token_id] if i is not None}


def _new_tokens(request: Request, wanted: int | None) -> int:
    return request.decoding.max_new_tokens if wanted is None else wanted


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
