"""The spec of an inspector in an experiment file, and the training pairs of the packaged inspectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.files import file_digest
from aligner_bench.core.hashing import digest
from aligner_bench.core.spec import Spec
from aligner_bench.engines.embedded import MINILM, embedded_path, weights_digest

PACKAGED = ("ethical", "factuality", "helpful")
_PREFIX = "packaged:"


class InspectorSpec(Spec):
    """A classifier: ``packaged:CRITERION`` (trained on first use) or a folder with a two-class model."""

    model: str = Field(description="packaged:ethical|factuality|helpful, or a local folder")
    batch_size: int | None = Field(
        None, ge=1, description="maximum answers per batch; default: chosen by length"
    )

    smoke: str | None = Field(
        None, description="the replacement under --scale smoke, such as packaged:ethical"
    )

    @property
    def criterion(self) -> str | None:
        """The packaged criterion, or None for a local folder."""
        return self.model.removeprefix(_PREFIX) if self.model.startswith(_PREFIX) else None


class TrainingPair(NamedTuple):
    """Two answers to one prompt, of which ``better`` is known to be better."""

    pair_id: str
    prompt: str
    worse: str
    better: str


class Training(BaseModel):
    """Hyperparameters of the packaged inspectors; part of their identity."""

    model_config = ConfigDict(frozen=True)

    version: int = 1
    epochs: int = 6
    batch_size: int = 16
    learning_rate: float = 1e-4
    max_length: int = 128
    seed: int = 0


def packaged_pairs(criterion: str, split: str) -> list[TrainingPair]:
    """Return the packaged pairs of one split (``train`` or ``held_out``)."""
    if criterion not in PACKAGED:
        raise UsageError(f"unknown packaged inspector {criterion!r}: {nearest(criterion, PACKAGED)}")
    text = (files("aligner_bench.inspectors") / "data" / f"{criterion}.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines() if line]
    return [
        TrainingPair(row["id"], row["prompt"], row["worse"], row["better"])
        for row in rows
        if row["split"] == split
    ]


def inspector_identity(spec: InspectorSpec) -> dict[str, Any]:
    """Return everything that determines an inspector's scores, without loading weights."""
    if spec.criterion is not None:
        pairs: Sequence[TrainingPair] = packaged_pairs(spec.criterion, "train")
        return {
            "engine": "classifier",
            "model": spec.model,
            "base": file_digest(embedded_path(MINILM) / "model.safetensors"),
            "pairs": digest([list(pair) for pair in pairs]),
            "training": Training().model_dump(),
        }
    folder = Path(spec.model)
    if not folder.is_dir():
        raise UsageError(
            f"inspector model {spec.model!r} is neither a folder nor one of "
            + ", ".join(_PREFIX + name for name in PACKAGED)
        )
    return {"engine": "classifier", "weights": weights_digest(folder)}
