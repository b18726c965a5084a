"""The ``classifier`` engine: a two-class encoder over (prompt, answer) pairs."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aligner_bench.core.cache import cache_dir
from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.files import atomic_folder
from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Score
from aligner_bench.engines.batches import Budget, cut_lengths, halving
from aligner_bench.engines.embedded import MINILM, embedded_path
from aligner_bench.engines.memory import folder_parameters
from aligner_bench.inspectors.backbone import share
from aligner_bench.inspectors.base import InspectorSpec, Training, inspector_identity, packaged_pairs

# Scores are rounded to 6 digits, since the 7th depends on batching.
_DIGITS = 6
_ROWS, _TOKENS = 128, 8192  # per batch, if the user gives no batch size


class _Fitted(NamedTuple):
    prompt: str
    answer: str
    cut_tokens: int
    tokens: int


class Classifier:
    """One inspector, or several with a shared encoder. Packaged ones are trained on first use and cached."""

    def __init__(self, spec: InspectorSpec, *siblings: InspectorSpec) -> None:
        self.spec = spec
        self._specs = (spec, *siblings)

    def load(self) -> None:
        """Load the weights; train packaged ones first if they are not cached."""
        try:
            import torch
            from transformers import AutoTokenizer

            from aligner_bench.engines.onednn_linear import reorder_weights
        except ImportError as error:
            raise MissingExtraError(str(error.name), "hf", "an inspector") from error
        _silence()
        folder = trained_folder(self.spec)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._models = [self._read(spec) for spec in self._specs]
        self._encoder = share(self._models)
        for model in self._models:
            reorder_weights(model)
        config = self._models[0].config
        self._max_length = min(int(getattr(config, "max_position_embeddings", 512)), 512)
        rows = min((spec.batch_size or _ROWS for spec in self._specs), default=_ROWS)
        self.budget = Budget(rows, _TOKENS)

    def unload(self) -> None:
        """Free the memory; ``load`` may be called again."""
        del self._models, self._encoder, self._tokenizer

    @property
    def encoder_passes(self) -> int:
        """Number of forward passes of the encoder since it was loaded."""
        return int(self._encoder.passes)

    def cut(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Return indices of the pairs in batches of similar length within the token budget."""
        texts = self._tokenizer([p for p, _ in pairs], [a for _, a in pairs], verbose=False)["input_ids"]
        lengths = [min(len(ids), self._max_length) for ids in texts]
        return cut_lengths(lengths, self.budget)

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """Return the probability of class 1 for each (prompt, answer), by the first head."""
        return self.score_all(pairs)[0]

    def score_all(self, pairs: Sequence[tuple[str, str]]) -> list[list[Score]]:
        """Return the probability of class 1 for each pair and head, heads in order; the encoder runs once.

        If a pair is too long, the prompt is truncated first, then the end of the answer, since the answer is
        what is scored. Truncated tokens are counted. UsageError if a single answer exceeds the memory.
        """
        import torch

        fitted = [self._fit(prompt, answer) for prompt, answer in pairs]
        with torch.inference_mode():
            rows: list[list[float]] = halving(
                range(len(pairs)),
                lambda i: fitted[i][3],
                lambda batch: self._values([fitted[i] for i in batch]),
                [],
                _collect,
                self.budget,
            )
        if not all(rows):
            raise UsageError(f"inspector {self.spec.model!r}: out of memory with a single answer")
        return [
            [
                Score(round(row[head], _DIGITS), pair.cut_tokens)
                for row, pair in zip(rows, fitted, strict=True)
            ]
            for head in range(len(self._models))
        ]

    def _values(self, fitted: Sequence[_Fitted]) -> list[list[float]]:
        """Return each text's scores, one per head."""
        import torch

        encoded = self._tokenizer(
            [pair.prompt for pair in fitted],
            [pair.answer for pair in fitted],
            padding=True,
            return_tensors="pt",
        ).to(self._device)
        self._encoder.next_batch()
        logits = [model(**encoded).logits.double() for model in self._models]
        heads = [torch.softmax(one, dim=-1)[:, 1].tolist() for one in logits]
        return [list(row) for row in zip(*heads, strict=True)]

    def _read(self, spec: InspectorSpec) -> Any:
        import torch
        from transformers import AutoModelForSequenceClassification

        model = AutoModelForSequenceClassification.from_pretrained(trained_folder(spec), dtype=torch.float32)
        if model.config.num_labels != 2:
            raise UsageError(f"inspector {spec.model!r}: expected 2 classes, found {model.config.num_labels}")
        return model.to(self._device).eval()

    def _fit(self, prompt: str, answer: str) -> _Fitted:
        budget = self._max_length - 3  # [CLS] prompt [SEP] answer [SEP]
        prompt_ids = self._tokenizer.encode(prompt, add_special_tokens=False, verbose=False)
        answer_ids = self._tokenizer.encode(answer, add_special_tokens=False, verbose=False)
        excess = len(prompt_ids) + len(answer_ids) - budget
        if excess <= 0:
            return _Fitted(prompt, answer, 0, len(prompt_ids) + len(answer_ids) + 3)
        keep_prompt = max(0, len(prompt_ids) - excess)
        keep_answer = budget - keep_prompt
        return _Fitted(
            self._tokenizer.decode(prompt_ids[:keep_prompt]),
            self._tokenizer.decode(answer_ids[: max(0, keep_answer - 2)]) if keep_prompt == 0 else answer,
            excess,
            self._max_length,
        )


def _collect() -> None:
    gc.collect()


def _silence() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def trained_folder(spec: InspectorSpec) -> Path:
    """Return the folder with an inspector's weights; a packaged one is trained on first use and cached."""
    if spec.criterion is None:
        return Path(spec.model)
    target = cache_dir() / "inspectors" / f"{spec.criterion}-{digest(inspector_identity(spec))[:16]}"
    if not target.exists():
        from aligner_bench.inspectors.training import train_pairs

        with atomic_folder(target) as draft:
            train_pairs(packaged_pairs(spec.criterion, "train"), embedded_path(MINILM), draft, Training())
            (draft / "identity.json").write_text(json.dumps(inspector_identity(spec), indent=1))
    return target


def classifier_bytes(spec: InspectorSpec) -> int:
    """Return the estimated bytes of a loaded inspector; a packaged one is as large as its base encoder."""
    folder = embedded_path(MINILM) if spec.criterion is not None else Path(spec.model)
    return 4 * folder_parameters(folder)


def auc(scores: Sequence[tuple[float, float]]) -> float | None:
    """Return the area under the ROC curve of (worse, better) scores; None for no pairs."""
    if not scores:
        return None
    worse, better = [pair[0] for pair in scores], [pair[1] for pair in scores]
    return sum((b > w) + 0.5 * (b == w) for b in better for w in worse) / (len(worse) * len(better))
