"""The fields of a pairrm judge."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aligner_bench.judges.base import JudgeSpec

TINY_RANKER = "tiny-pair-ranker"
"""The model name of the stand-in pair ranker; see ``tiny``."""


class PairRMSpec(JudgeSpec):
    """A pair ranker in the format of llm-blender/PairRM or PairRM-hf, in both orders."""

    model: str = Field("llm-blender/PairRM", description="hub name, local folder, or tiny-pair-ranker")
    revision: str | None = Field(None, description="hub revision")
    backend: Literal["native", "llm_blender"] = Field("native", description="ours, or the authors' package")
    truncation: Literal["fixed", "spare"] = Field(
        "fixed",
        description="fixed: 412 tokens an answer; spare: and half of what the prompt leaves of its 1224",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="precision of the weights"
    )
    batch_size: int = Field(32, ge=1, description="most pairs of a batch")
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")
    family: str | None = Field(None, description="for self-preference warnings")
