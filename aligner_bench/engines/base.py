"""The contract of an engine, and the registry that finds one by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from aligner_bench.errors import UsageError, nearest
from aligner_bench.types import Completion, Request

_ENTRY_POINTS = "aligner_bench.engines"
DEFAULT_BATCH = 32
"""Items of a batch for engines that do not cut batches themselves."""
_BUILT_IN = {
    "hf": "aligner_bench.engines.hf:HFEngine",
    "replay": "aligner_bench.engines.replay:ReplayEngine",
    "openai": "aligner_bench.engines.openai:OpenAIEngine",
    "vllm": "aligner_bench.engines.vllm:VLLMEngine",
    "vllm-server": "aligner_bench.engines.vllm_server:VLLMServerEngine",
    "openvino": "aligner_bench.engines.openvino:OpenVINOEngine",
}


class ModelSpec(BaseModel):
    """A named engine with weights, as an experiment file describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str = Field(description="hf, vllm, vllm-server, openvino, openai, replay, or a plugin's name")
    model: str | None = Field(None, description="a packaged name, a local folder, or a hub name")
    path: Path | None = Field(None, description="replay: the file with recorded outputs")
    revision: str | None = Field(None, description="hub revision")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    chat: bool = Field(True, description="wrap prompts in the model's chat template")
    batch_size: int | None = Field(
        None, ge=1, description="most items of a batch; left out, the engine chooses by memory and length"
    )
    base_url: str | None = Field(None, description="openai: the server's address, ending in /v1")
    api_key_env: str = Field("OPENAI_API_KEY", description="openai: the variable that holds the key")
    api_key_keyring: str | None = Field(
        None, pattern=r"^[^/]+/.+$", description="openai: SERVICE/USER in the system's keyring, instead"
    )
    concurrency: int = Field(32, ge=1, description="openai: most calls in flight; fewer if the server balks")
    rpm: float | None = Field(None, gt=0, description="openai: most calls a minute")
    tpm: float | None = Field(None, gt=0, description="openai: most tokens a minute")
    timeout: float = Field(120.0, gt=0, description="openai: seconds for one call")
    run_timeout: float | None = Field(
        None, gt=0, description="openai: seconds after which a run starts no further calls and ends"
    )
    batch_api: bool = Field(False, description="openai: through the provider's batches, slower and cheaper")
    retries: int = Field(5, ge=0, description="openai: further tries of a call that may succeed later")
    lora: Path | None = Field(None, description="vllm: folder of a LoRA adapter over the model")
    tensor_parallel_size: int = Field(1, ge=1, description="vllm: GPUs that share the weights")
    max_model_len: int | None = Field(
        None, ge=16, description="vllm, openvino: tokens of a prompt and its answer together"
    )
    enforce_eager: bool | None = Field(
        None, description="vllm: without compilation, which is the default on CPUs, where it takes a minute"
    )
    kv_cache_gb: float | None = Field(
        None, gt=0, description="vllm, openvino: GiB for the key-value cache (2 on CPUs)"
    )
    unpack_gguf: bool = Field(
        False, description="openvino: a GGUF file's numbers as 16-bit floats, not as they are stored"
    )
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="vllm: share of a GPU's memory for weights and cache together"
    )
    family: str | None = Field(None, description="for self-preference warnings")
    smoke: str | None = Field(None, description="the small model that --scale smoke uses instead")

    @property
    def items_at_once(self) -> int:
        """Items of one batch: what fits the device, or as many calls as may be in flight."""
        return self.concurrency if self.engine == "openai" else self.batch_size or DEFAULT_BATCH

    @property
    def choices_at_once(self) -> int:
        """The same for ``choose``, whose prompts hold two answers and need about twice the memory."""
        return (
            self.concurrency if self.engine == "openai" else max(1, (self.batch_size or DEFAULT_BATCH) // 2)
        )

    @field_serializer("base_url")
    def _without_secrets(self, url: str | None) -> str | None:
        """Manifests and hashes are made from dumps, and hold no password."""
        return public_url(url) if url else url


def public_url(url: str) -> str:
    """An address without user name, password, query and fragment, any of which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Notes(Protocol):
    """A small store that outlives the process, for what an engine must not forget. The ledger is one."""

    def note(self, key: str) -> Any:
        """The value under a key, None where there is none."""

    def set_note(self, key: str, value: Any) -> None:
        """Keep a value of plain data at once; None removes it."""


@dataclass(frozen=True)
class Hooks:
    """What a stream of calls asks and tells, by item key. Both may be called from another thread.

    ``may_start`` is asked before each item's first call; once it says no, no item of this stream starts any
    more, while those in flight are finished and yielded. ``finished`` is told of every completion before
    another item starts in its place, so that a budget is never passed by more than the calls in flight.
    """

    may_start: Callable[[str], bool] = lambda _: True
    finished: Callable[[str, Completion], None] = lambda _, __: None
    notes: Notes | None = None


@runtime_checkable
class StreamingEngine(Protocol):
    """An engine that keeps many calls in flight and gives each result as it comes, in any order.

    Keys name the items; they are the same in every process, so that a server can tell a repeated call. Items
    that did not start (``may_start``, a time limit) are left out; a UsageError says why where the engine
    itself ended the stream, after everything finished has been yielded.
    """

    def stream(
        self, requests: Mapping[str, Request], hooks: Hooks | None = None
    ) -> Iterator[dict[str, Completion]]:
        """Completions by key, in small bundles."""

    def stream_choices(
        self, requests: Mapping[str, Request], choices: Sequence[str], hooks: Hooks | None = None
    ) -> Iterator[dict[str, dict[str, float]]]:
        """``choose``, in the same way; an empty mapping is a call that failed."""


@runtime_checkable
class CuttingEngine(Protocol):
    """An engine that knows which requests go well together, and how many of them fit its memory."""

    def cut(self, requests: Sequence[Request], new_tokens: int | None = None) -> list[list[int]]:
        """Indices of the requests in batches; the same list gives the same batches.

        ``new_tokens`` is what each will be asked for, where that is not what its decoding says.
        """


class Engine(Protocol):
    """Runs one model. Constructing an engine is cheap; weights are loaded by ``load``."""

    def __init__(self, spec: ModelSpec) -> None: ...

    def identity(self) -> dict[str, Any]:
        """What decides the outputs (engine, weights, precision), found without loading weights."""

    def load(self) -> None:
        """Bring the weights into memory. Called once."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete one batch, in order."""

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Next-token probability of each choice, in the order of the requests."""


def engine_names() -> list[str]:
    """The built-in engines and those that installed plugins register."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=_ENTRY_POINTS))})


def make_engine(spec: ModelSpec) -> Engine:
    """The engine of a model; UsageError for an unknown name."""
    if spec.engine in _BUILT_IN:
        module, _, name = _BUILT_IN[spec.engine].partition(":")
        return cast(Engine, getattr(importlib.import_module(module), name)(spec))
    for point in entry_points(group=_ENTRY_POINTS):
        if point.name == spec.engine:
            return cast(Engine, point.load()(spec))
    raise UsageError(f"unknown engine {spec.engine!r}: {nearest(spec.engine, engine_names())}")
