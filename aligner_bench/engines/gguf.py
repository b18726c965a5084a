"""GGUF files as models of the ``hf`` engine, converted once to a copy that transformers loads quickly.

The copy holds the values of the quantised file in float32: it loses nothing, and does not restore the
precision that quantisation removed.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from aligner_bench.core.cache import cache_dir
from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.files import atomic_folder

_MAGIC = b"GGUF"
_ENDS = 8 << 20
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
# llama.cpp's file types (LLAMA_FTYPE); a number that is not here is shown as it is.
# fmt: off
_KINDS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    32: "BF16",
}
# fmt: on
_SHAPE = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "vocab_size": "vocab_size",
}


def is_gguf(name: str) -> bool:
    """Return whether a model name denotes a GGUF file."""
    return name.lower().endswith(".gguf")


def gguf_digest(path: Path) -> str:
    """Return the SHA-256 of a GGUF file's size, first and last megabytes.

    Raises UsageError if it is not a GGUF file.
    """
    check_gguf(path)
    total = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as stream:
        total.update(stream.read(_ENDS))
        if path.stat().st_size > 2 * _ENDS:
            stream.seek(-_ENDS, os.SEEK_END)
        total.update(stream.read())
    return total.hexdigest()


def check_gguf(path: Path) -> None:
    """Raise UsageError for a missing file, or one without the GGUF magic number."""
    if not path.is_file():
        raise UsageError(f"engine hf: model file {str(path)!r} does not exist; expected a GGUF file")
    with path.open("rb") as stream:
        if stream.read(4) != _MAGIC:
            raise UsageError(f"engine hf: {str(path)!r} is not a GGUF file: it does not begin with GGUF")


def gguf_parameters(path: Path) -> int:
    """Return the number of parameters of a GGUF file, from its header."""
    return int(_header(path)[1])


def gguf_architecture(path: Path) -> str:
    """Return the architecture that a GGUF file declares, such as ``llama``."""
    return str(_header(path)[0].get("general.architecture", ""))


def gguf_context(path: Path) -> int | None:
    """Return the context length (prompt and answer tokens) of a GGUF model, if its file declares it."""
    found = _header(path)[0].get(f"{gguf_architecture(path)}.context_length")
    return found if isinstance(found, int) else None


def gguf_kind(path: Path) -> str:
    """Return the predominant number format of a GGUF file, such as ``Q4_1``."""
    number: Any = _header(path)[0].get("general.file_type")
    return _KINDS.get(number, f"of type {number}")


def gguf_shape(path: Path) -> dict[str, int]:
    """Return layers, heads and width of a GGUF model, by transformers' names, as far as declared."""
    fields, kind = _header(path)[0], gguf_architecture(path)
    named = {name: fields.get(f"{kind}.{field}") for name, field in _SHAPE.items()}
    return {name: value for name, value in named.items() if isinstance(value, int)}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    check_gguf(path)
    with path.open("rb") as stream:
        try:
            return _read_header(stream)
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError, MemoryError) as error:
            raise UsageError(f"engine hf: {str(path)!r}: damaged GGUF header ({error})") from error


def _read_header(stream: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return the header fields (arrays as None) and the number of parameters.

    Layout: GGUF specification, version 2 and later.
    """
    stream.seek(4)
    _, tensors, fields = struct.unpack("<IQQ", stream.read(20))
    found: dict[str, Any] = {}
    for _ in range(fields):
        name = _text(stream)
        found[name] = _value(stream, struct.unpack("<I", stream.read(4))[0])
    total = 0
    for _ in range(tensors):
        _text(stream)
        (rank,) = struct.unpack("<I", stream.read(4))
        shape = struct.unpack(f"<{rank}Q", stream.read(8 * rank))
        stream.read(12)  # type and offset
        count = 1
        for size in shape:
            count *= size
        total += count
    return found, total


def _text(stream: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", stream.read(8))
    return stream.read(length).decode("utf-8")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(stream)
    if kind == _ARRAY:
        inner, count = struct.unpack("<IQ", stream.read(12))
        if inner in _SCALARS:
            stream.seek(count * struct.calcsize(_SCALARS[inner]), os.SEEK_CUR)
            return None
        for _ in range(count):
            _value(stream, inner)
        return None
    return struct.unpack(_SCALARS[kind], stream.read(struct.calcsize(_SCALARS[kind])))[0]


def converted_gguf(source: Path, label: str) -> Path:
    """Return the folder with the float32 copy of a GGUF file, made on first use (seconds to minutes).

    Raises UsageError where transformers cannot read the file's architecture.
    """

    target = cache_dir() / "models" / label
    if not target.exists():
        print(f"converting {source.stem} once into {target.parent}", file=sys.stderr)
        with atomic_folder(target) as draft:
            _convert(source, draft)
    return target


def _convert(source: Path, target: Path) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtraError(str(error.name), "hf", "a GGUF file") from error
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise UsageError(
            f"engine hf: {source.name}: transformers cannot read this GGUF file "
            f"(architecture {gguf_architecture(source)!r}): {str(error).splitlines()[0]}"
        ) from error
    # transformers refuses to save a model read from GGUF, but saves its weights in a clean model of that
    # shape.
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    clean = type(model)(config)
    clean.load_state_dict(model.state_dict())
    clean.generation_config = model.generation_config
    clean.save_pretrained(target)
    tokenizer.save_pretrained(target)
