"""Total memory, and the memory that a model takes, estimated without loading it.

Estimates count the bytes of weights (from file headers) and of keys and values; engines bound the rest of a
forward pass by limiting its tokens.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.engines.embedded import SMOLLM2, embedded_path
from aligner_bench.engines.gguf import gguf_parameters, gguf_shape, is_gguf

GIB = 2**30
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
CPU_CACHE = 2.0
"""GiB of keys and values for engines that allocate them at the start, on a CPU, by default."""
_RUNTIME = GIB // 2  # Python, torch and one pass's intermediate results
_BATCH_TOKENS = 128 * 256  # of a batch of 128 rows: prompts and answers
_CONFIG_DEFAULT = 2  # bytes per parameter where only a file's size is known, not its precision


def total_memory() -> int:
    """Return the bytes of the device that runs models: the GPU's where torch has one, else the machine's.

    Torch is used only where it is loaded already. Respects a container's limit where Linux reports it.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        return min(machine, int(limit.read_text()))
    except (OSError, ValueError):
        return machine


def kv_bytes_per_token(config: Any, bytes_per_number: int) -> int:
    """Return the bytes of keys and values per token, from a model's configuration (transformers' names)."""
    heads = getattr(config, "num_attention_heads", 1) or 1
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "hidden_size", None) or 1024
    head_dim = getattr(config, "head_dim", None) or width // heads
    layers = getattr(config, "num_hidden_layers", None) or 12
    return int(2 * layers * kv_heads * head_dim * bytes_per_number)


def model_bytes(model: str, dtype: str) -> int:
    """Return the estimated bytes of a model's weights; 0 where the model is not on this machine."""
    width = _BYTES.get(dtype, 4)
    if model == SMOLLM2 or is_gguf(model):
        path = embedded_path(SMOLLM2) if model == SMOLLM2 else Path(model)
        return gguf_parameters(path) * width
    return folder_parameters(Path(model)) * width


def resident_bytes(model: str, dtype: str, cache_gb: float | None = None) -> int:
    """Return the bytes of weights, one pass, and a full batch's keys and values; 0 where unknown.

    ``cache_gb`` (GiB) is the size of the key-value cache for engines that allocate it at the start.
    """
    weights = model_bytes(model, dtype)
    if not weights:
        return 0
    if cache_gb is not None:
        return weights + _RUNTIME + int(cache_gb * GIB)
    shape, width = _shape(model), _BYTES.get(dtype, 4)
    cache = _BATCH_TOKENS * kv_bytes_per_token(SimpleNamespace(**shape), width) if shape else 0
    return weights + _RUNTIME + cache + _head_bytes(shape, width)


def _head_bytes(shape: Mapping[str, Any], width: int) -> int:
    """Return the bytes of an output layer tied to the embeddings: on a CPU it becomes a reordered copy."""
    tied = shape.get("tie_word_embeddings", True)
    return int(tied and shape.get("vocab_size", 0) * shape.get("hidden_size", 0) * width)


def _shape(name: str) -> dict[str, Any]:
    """Return a model's known configuration, by transformers' names."""
    if name == SMOLLM2 or is_gguf(name):
        return dict(gguf_shape(embedded_path(SMOLLM2) if name == SMOLLM2 else Path(name)))
    config = Path(name) / "config.json"
    found: dict[str, Any] = json.loads(config.read_text("utf-8")) if config.is_file() else {}
    return found


def folder_parameters(folder: Path) -> int:
    """Return the number of parameters in a model folder, from safetensors headers or file sizes.

    0 where there is no folder.
    """
    if not folder.is_dir():
        return 0
    headed = sorted(folder.glob("*.safetensors"))
    if headed:
        return sum(safetensors_parameters(path) for path in headed)
    plain = [path for pattern in ("*.bin", "*.pt") for path in folder.glob(pattern)]
    return sum(path.stat().st_size for path in plain) // _CONFIG_DEFAULT


def safetensors_parameters(path: Path) -> int:
    """Return the number of parameters in a safetensors file. Raises UsageError for a damaged header."""
    try:
        return sum(math.prod(entry["shape"]) for entry in safetensors_header(path).values())
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise UsageError(f"{path}: is not a safetensors file ({error})") from error


def safetensors_header(path: Path) -> Mapping[str, Any]:
    """Return the dtype, shape and offsets of each tensor by name."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(min(length, 1 << 28)))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}
