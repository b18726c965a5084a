"""Files for OpenVINO: IR folders, and GGUF files, which can be unpacked into 16-bit floats."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from aligner_bench.core.cache import cache_dir
from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.engines.gguf import gguf_digest

_NEEDED = ("openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "openvino_detokenizer.xml")


def check_ir(folder: Path) -> None:
    """Raise UsageError unless a folder holds the output of ``optimum-cli export openvino``."""
    if not folder.is_dir():
        raise UsageError(
            f"engine openvino: {str(folder)!r} is neither a GGUF file nor a folder with an OpenVINO IR"
        )
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"engine openvino: {str(folder)!r} lacks {', '.join(missing)}; "
            "`optimum-cli export openvino --model MODEL FOLDER` writes such a folder"
        )


def ir_context(folder: Path) -> int | None:
    """Return the model's context length in tokens, where its config.json declares it."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get(
            "max_position_embeddings"
        )
    except (OSError, ValueError):
        return None
    return found if isinstance(found, int) else None


def unpacked_gguf(source: Path) -> Path:
    """Return a copy of a GGUF file in 16-bit floats, made on first use (about ten seconds).

    It holds the weights of the engines that only read floats: the same values, rounded to 11 binary digits,
    which is finer than bfloat16. OpenVINO reads no 32-bit GGUF.
    """
    target = cache_dir() / "models" / f"{source.stem}-{gguf_digest(source)[:16]}-f16.gguf"
    if not target.exists():
        print(f"unpacking {source.stem} once into {target.parent}", file=sys.stderr)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".draft-") as draft:
            made = Path(draft) / target.name
            _unpack(source, made)
            made.replace(target)
    return target


def _unpack(source: Path, target: Path) -> None:
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise MissingExtraError(str(error.name), "hf", "unpack_gguf") from error
    reader = gguf.GGUFReader(source)
    architecture = str(reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(target, architecture)
    _copy_fields(gguf, reader, writer)
    for tensor in reader.tensors:
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, numbers if numbers.ndim == 1 else numbers.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_fields(gguf: Any, reader: Any, writer: Any) -> None:
    """Copy all metadata fields except the number format."""
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue  # set by the writer itself
        is_list = field.types[0] == gguf.GGUFValueType.ARRAY
        value = 1 if field.name == "general.file_type" else field.contents()
        writer.add_key_value(field.name, value, field.types[0], field.types[-1] if is_list else None)
