"""A pair ranker's files and identity, found without loading weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.files import file_digest
from aligner_bench.core.hashing import digest
from aligner_bench.judges.pairrm.spec import TINY_RANKER, PairRMSpec
from aligner_bench.judges.pairrm.tiny import tiny_ranker

SOURCE_TOKENS, CANDIDATE_TOKENS = 1224, 412
"""PairRM's published limits; a checkpoint with its own limits keeps them."""
_PUBLISHED_SHAPE = (1024, 24)
_WEIGHTS = "model.safetensors"
_VERSION = 1  # part of the identity: raise it when the same weights would give other logits


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A pair ranker on disk.

    Attributes:
        folder: holds ``config.json`` and ``model.safetensors``.
        backbone: holds the DeBERTa's config and tokenizer (the same folder in the ``PairRM-hf`` format).
        shape: hidden size and number of layers.
        source_tokens: most tokens of a prompt, marker and separators included.
        candidate_tokens: most tokens of an answer, likewise.
        hf_format: one DeBERTa config with marker ids, not a RankerConfig.
    """

    folder: Path
    backbone: Path
    shape: tuple[int, int]
    source_tokens: int
    candidate_tokens: int
    hf_format: bool

    @property
    def stand_in(self) -> bool:
        """Whether it lacks PairRM's shape (DeBERTa-v3-large) and must not carry its name (contract 10)."""
        return self.shape != _PUBLISHED_SHAPE

    @property
    def weights(self) -> Path:
        """The file with ``pretrained_model.*`` and ``head_layer.*``."""
        return self.folder / _WEIGHTS


@cache
def find_checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """Return the checkpoint of a name: the stand-in, a local folder, or a hub name (downloaded).

    Raises UsageError where it is missing or has another format.
    """
    if model == TINY_RANKER:
        folder = tiny_ranker()
    elif Path(model).is_dir():
        folder = Path(model)
    else:
        folder = _from_hub(model, revision, None)
    config = _config(folder)
    if not (folder / _WEIGHTS).is_file():
        raise UsageError(
            f"{folder}: has no {_WEIGHTS}; expected a pair ranker as llm-blender/PairRM publishes it"
        )
    hf_format = "source_prefix_id" in config
    if not hf_format and config.get("ranker_type") != "pairranker":
        raise UsageError(
            f"{folder / 'config.json'}: ranker_type is {config.get('ranker_type')!r}; expected 'pairranker' "
            "(llm-blender/PairRM) or a DeBERTa config with source_prefix_id (PairRM-hf)"
        )
    backbone = folder if hf_format else _backbone(folder, str(config.get("model_name")))
    inner = _config(backbone)
    if inner.get("model_type") != "deberta-v2":
        raise UsageError(f"{backbone}: model_type is {inner.get('model_type')!r}; expected 'deberta-v2'")
    return Checkpoint(
        folder,
        backbone,
        (int(inner["hidden_size"]), int(inner["num_hidden_layers"])),
        int(config.get("source_maxlength") or SOURCE_TOKENS),
        int(config.get("candidate_maxlength") or CANDIDATE_TOKENS),
        hf_format,
    )


def ranker_identity(spec: PairRMSpec) -> dict[str, Any]:
    """Return what decides the logits: weights, tokenizer, precision, implementation, truncation rule."""
    checkpoint = find_checkpoint(spec.model, spec.revision)
    return {
        "engine": "pairrm",
        "version": _VERSION,
        "backend": spec.backend,
        "dtype": spec.dtype,
        "weights": _digest_once(checkpoint.weights),
        "backbone": _backbone_digest(checkpoint.backbone),
        "truncation": {
            "rule": spec.truncation,
            "source": checkpoint.source_tokens,
            "candidate": checkpoint.candidate_tokens,
        },
    }


def check_name(judge: str, spec: PairRMSpec) -> None:
    """Raise UsageError where a judge named after PairRM is another network (contract 10)."""
    checkpoint = find_checkpoint(spec.model, spec.revision)
    if (
        checkpoint.stand_in
        and "pairrm" in judge.lower().replace("-", "").replace("_", "")
        and not judge.startswith("stand-in")
    ):
        width, layers = checkpoint.shape
        raise UsageError(
            f"judges.{judge}: {spec.model} is not PairRM ({layers} layers of width {width}, expected "
            f"{_PUBLISHED_SHAPE[1]} of {_PUBLISHED_SHAPE[0]}); give this judge a name of its own"
        )


@cache
def _digest_once(path: Path) -> str:
    return file_digest(path)


@cache
def _backbone_digest(folder: Path) -> str:
    """Return a digest of config and tokenizer; the checkpoint's weights replace the backbone's."""
    names = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".model") and p.is_file())
    return digest([[p.name, file_digest(p)] for p in names if not p.name.endswith(".index.json")])


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{folder}: has no readable config.json; expected a pair ranker's folder") from error
    except ValueError as error:
        raise UsageError(f"{file}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file}: expected an object, found {type(found).__name__}")
    return found


def _backbone(folder: Path, name: str) -> Path:
    """Return the backbone's folder: inside the checkpoint, a path, or a hub name (without weights)."""
    for place in (folder / name, Path(name)):
        if place.is_dir():
            return place
    return _from_hub(name, None, ["*.json", "*.model"])


def _from_hub(name: str, revision: str | None, patterns: list[str] | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError(str(error.name), "pairrm", "the pairrm judge") from error
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (
        Exception
    ) as error:  # the hub's client raises many error types, all of which mean that the files are unavailable
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"pairrm: {name!r} is no folder and cannot be downloaded from the hub ({reason})"
        ) from error
