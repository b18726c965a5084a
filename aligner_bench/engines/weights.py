"""Fields of models whose weights are loaded on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from aligner_bench.engines.base import ModelSpec
from aligner_bench.engines.gguf import is_gguf
from aligner_bench.engines.memory import resident_bytes


class WeightsModel(ModelSpec):
    """A packaged model, a local folder, a GGUF file or a hub name, in a given precision."""

    model: str = Field(min_length=1, description="a packaged name, a local folder, or a hub name")
    revision: str | None = Field(None, description="hub revision")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="precision of the weights"
    )
    batch_size: int | None = Field(
        None, ge=1, description="most items of a batch; left out, the engine chooses by memory and length"
    )

    def resident_bytes(self) -> int:
        """Return the bytes of weights, one pass, and the keys and values of a full batch."""
        return resident_bytes(self.model, self.dtype)

    def anchored(self, anchor: Callable[[Path], Path]) -> Self:
        """Return the spec with its paths, including a GGUF file's, resolved by ``anchor``."""
        spec = super().anchored(anchor)
        return (
            spec.model_copy(update={"model": str(anchor(Path(self.model)))}) if is_gguf(self.model) else spec
        )
