"""Share the encoder of inspectors with equal encoder weights: it runs once per batch for all heads.

Shared encoders are detected from the weight files: models that were trained as heads on one frozen encoder
and saved separately need no declaration.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aligner_bench.engines.memory import safetensors_header
from aligner_bench.inspectors.base import InspectorSpec

_SHAPE_FIELDS = (
    "model_type",
    "hidden_act",
    "layer_norm_eps",
    "max_position_embeddings",
    "position_embedding_type",
)


def backbone_key(folder: Path) -> str:
    """Return a digest of an encoder: its weights, its configuration and its tokenizer.

    A folder without a single ``model.safetensors`` has a unique key, so its encoder is not shared.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return str(folder.resolve())
    total = hashlib.sha256()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    total.update(json.dumps({name: config.get(name) for name in _SHAPE_FIELDS}).encode())
    for name in ("tokenizer.json", "vocab.txt", "spm.model"):
        if (folder / name).is_file():
            total.update((folder / name).read_bytes())
    _update_with_encoder(total, weights)
    return total.hexdigest()


def _update_with_encoder(total: Any, weights: Path) -> None:
    """Add the tensors of the encoder: those under the top-level name that has the most of them."""
    header = safetensors_header(weights)
    start = 8 + int.from_bytes(weights.open("rb").read(8), "little")
    encoder, _ = Counter(name.partition(".")[0] for name in header).most_common(1)[0]
    with weights.open("rb") as stream:
        for name in sorted(header):
            if name.partition(".")[0] != encoder:
                continue
            entry: Mapping[str, Any] = header[name]
            begin, end = entry["data_offsets"]
            stream.seek(start + begin)
            total.update(f"{name}:{entry['dtype']}:{entry['shape']}:".encode())
            total.update(stream.read(end - begin))


def families(inspectors: Mapping[str, InspectorSpec]) -> dict[str, tuple[str, ...]]:
    """Return name -> names of all inspectors with the same encoder, including itself, in declared order.

    Packaged inspectors are fully fine-tuned, each with a separate encoder, so their weights are not read.
    """
    keys = {
        name: spec.model if spec.criterion is not None else backbone_key(Path(spec.model))
        for name, spec in inspectors.items()
    }
    return {name: tuple(other for other in keys if keys[other] == keys[name]) for name in keys}


def share(models: list[Any]) -> Any:
    """Give all models the first one's encoder, cached so that it runs once per batch; return that encoder.

    Call ``next_batch`` on the result before each batch; ``passes`` counts the forward passes.
    """
    import torch

    class Once(torch.nn.Module):  # type: ignore[misc]
        """An encoder that caches its output until ``next_batch`` is called."""

        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner
            self.passes = 0
            self._output: Any = None

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            """Return the encoder's output for this batch."""
            if self._output is None:
                self._output = self.inner(*args, **kwargs)
                self.passes += 1
            return self._output

        def next_batch(self) -> None:
            """Discard the last batch's output."""
            self._output = None

    once = Once(models[0].base_model)
    for model in models:
        setattr(model, model.base_model_prefix, once)
    return once
