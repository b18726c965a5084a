"""Fields of models that vLLM runs, in this process or behind its server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from aligner_bench.engines.memory import CPU_CACHE, resident_bytes
from aligner_bench.engines.weights import WeightsModel


class VLLMFields(WeightsModel):
    """A model of vLLM."""

    lora: Path | None = Field(None, description="folder of a LoRA adapter over the model")
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs that share the weights")
    max_model_len: int | None = Field(None, ge=16, description="tokens of a prompt and its answer together")
    enforce_eager: bool | None = Field(
        None, description="without compilation, which is the default on CPUs, where it takes a minute"
    )
    kv_cache_gb: float | None = Field(None, gt=0, description="GiB for the key-value cache (2 on CPUs)")
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="share of a GPU's memory for weights and cache together"
    )

    def resident_bytes(self) -> int:
        """Return the bytes of weights and key-value cache."""
        return resident_bytes(self.model, self.dtype, self.kv_cache_gb or CPU_CACHE)
