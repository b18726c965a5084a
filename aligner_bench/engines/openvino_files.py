"""Folders with an OpenVINO IR: what must be in them, and what their configuration says."""

from __future__ import annotations

import json
from pathlib import Path

from aligner_bench.errors import UsageError

_NEEDED = ("openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "openvino_detokenizer.xml")


def check_ir(folder: Path) -> None:
    """UsageError unless a folder holds what ``optimum-cli export openvino`` writes."""
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
    """Tokens of a prompt and its answer that the model was made for, where its config.json says so."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get(
            "max_position_embeddings"
        )
    except (OSError, ValueError):
        return None
    return found if isinstance(found, int) else None
