"""The ``hf`` engine: any causal language model of transformers, on CPU or GPU.

The decoding loop is our own, for three things ``generate`` does not give: a random stream per item (so that a
sampled answer does not depend on its neighbours in the batch), rows that leave the batch when they end, and
stop strings that are cut exactly.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from aligner_bench.engines.base import ModelSpec
from aligner_bench.engines.embedded import SMOLLM2, converted_smollm2
from aligner_bench.engines.prompts import PromptBuilder, TransformersTokenizer, weights_identity
from aligner_bench.errors import MissingExtraError, UsageError
from aligner_bench.types import Completion, Request

_VERSION = 1  # part of the identity: raise it when the same weights would give other texts


class HFEngine:
    """One transformers model. ``identity`` reads files only; ``load`` imports torch."""

    def __init__(self, spec: ModelSpec) -> None:
        if not spec.model:
            raise UsageError("engine hf: field model is missing (a packaged name, a folder, or a hub name)")
        self._spec = spec
        self._name: str = spec.model

    def identity(self) -> dict[str, Any]:
        """Weights, precision and whether the chat template is used."""
        spec = self._spec
        base = {"engine": "hf", "version": _VERSION, "dtype": spec.dtype, "chat": spec.chat}
        return {**base, **weights_identity(spec)}

    def load(self) -> None:
        """Load weights and tokenizer onto the GPU if there is one, else the CPU."""
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise MissingExtraError(str(error.name), "hf", "engine hf") from error
        logging.disable_progress_bar()
        source = str(converted_smollm2()) if self._name == SMOLLM2 else self._name
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source, revision=self._spec.revision)
            model = AutoModelForCausalLM.from_pretrained(
                source, revision=self._spec.revision, dtype=getattr(torch, self._spec.dtype)
            )
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"engine hf: cannot load model {self._name!r}: {reason}") from error
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(self._device).eval()
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._stop_ids = self._end_ids()
        limit = getattr(model.config, "max_position_embeddings", None)
        self._prompts = PromptBuilder(
            TransformersTokenizer(self._tokenizer), int(limit or 2048), chat=self._spec.chat
        )

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete one batch. All requests of a batch share their decoding settings.

        A prompt that cannot fit even without its answer part is a completion with status error.
        """
        import torch

        from aligner_bench.engines.decoding import decode_batch

        start = time.perf_counter()
        encoded = [self._prompts.encode(request, request.decoding.max_new_tokens) for request in requests]
        fitting = [i for i, (ids, _) in enumerate(encoded) if ids]
        with torch.inference_mode():
            rows = decode_batch(
                self._model,
                self._tokenizer,
                [encoded[i][0] for i in fitting],
                [requests[i] for i in fitting],
                self._stop_ids,
            )
        share = (time.perf_counter() - start) / max(len(requests), 1)
        too_long = Completion("", "error", error=f"the prompt alone exceeds {self._prompts.context} tokens")
        completions = [too_long] * len(requests)
        for i, (text, reason, n_new) in zip(fitting, rows, strict=True):
            ids, cut = encoded[i]
            completions[i] = Completion(text, reason, len(ids), n_new, cut, round(share, 4))
        return completions

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Next-token probability of each choice's first token.

        Raises UsageError where two choices begin with the same token, for then they cannot be told apart.
        """
        import torch

        from aligner_bench.engines.decoding import left_pad

        first = [self._tokenizer.encode(choice, add_special_tokens=False)[0] for choice in choices]
        if len(set(first)) < len(first):
            raise UsageError(f"the choices {', '.join(choices)} begin with the same token in {self._name}")
        encoded = [self._prompts.encode(request, 1) for request in requests]
        for (ids, _), request in zip(encoded, requests, strict=True):
            if not ids:
                raise UsageError(
                    f"a judge prompt exceeds {self._prompts.context} tokens: {request.prefix[:60]!r}…"
                )
        batch, mask = left_pad([ids for ids, _ in encoded], self._tokenizer.pad_token_id, self._device)
        with torch.inference_mode():
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            logits = self._model(
                input_ids=batch, attention_mask=mask, position_ids=positions, logits_to_keep=1
            ).logits[:, -1]
            probabilities = torch.softmax(logits.double(), dim=-1)[:, first].tolist()
        return [dict(zip(choices, row, strict=True)) for row in probabilities]

    def _end_ids(self) -> set[int]:
        configured = self._model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {i for i in [*ids, self._tokenizer.eos_token_id] if i is not None}
