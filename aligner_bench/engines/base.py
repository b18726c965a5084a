"""The contract of an engine: its model spec in an experiment file, and the object that runs the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.registry import Kind, Registry
from aligner_bench.core.types import Completion, Request
from aligner_bench.engines.registry import ENGINES

DEFAULT_BATCH = 32
"""Items of a batch for engines that do not cut batches themselves."""
MODEL_DEFAULTS: dict[str, Any] = {
    "model": None, "path": None, "revision": None, "dtype": "float32", "chat": True, "batch_size": None,
    "base_url": None, "api_key_env": "OPENAI_API_KEY", "api_key_keyring": None, "concurrency": 32,
    "rpm": None, "tpm": None, "timeout": 120.0, "run_timeout": None, "batch_api": False, "retries": 5,
    "lora": None, "tensor_parallel_size": 1, "max_model_len": None, "enforce_eager": None,
    "kv_cache_gb": None, "unpack_gguf": False, "gpu_memory_utilization": None, "family": None, "smoke": None,
}  # fmt: skip
"""Fields of the one model class of version 0.1, which stay part of experiment hashes."""


class ModelSpec(Kind):
    """A model: an engine with weights. A subclass declares the engine's fields and implements ``make``."""

    registry: ClassVar[Registry] = ENGINES
    live: ClassVar[bool] = True
    """Can it be asked anything? Recorded outputs cannot."""
    holds_weights: ClassVar[bool] = True
    """Are its weights in this machine's memory?"""
    paid: ClassVar[bool] = False
    """Can its answers cost money?"""
    has_model: ClassVar[bool] = True
    """Does it have a field ``model`` that must be given?"""

    engine: str = Field(description="hf, vllm, vllm-server, openvino, openai, replay, or a plug-in's name")
    chat: bool = Field(True, description="wrap prompts in the model's chat template")
    family: str | None = Field(None, description="for self-preference warnings")
    smoke: str | None = Field(None, description="the small model that --scale smoke uses instead")

    def make(self) -> Engine:
        """The engine, without loading weights. UsageError where a file or package is missing."""
        raise TypeError(f"{type(self).__name__} does not implement make")

    @property
    def label(self) -> str:
        """The model's own name, for people."""
        return str(getattr(self, "model", None) or self.engine)

    @property
    def items_at_once(self) -> int:
        """Items of one batch."""
        return getattr(self, "batch_size", None) or DEFAULT_BATCH

    @property
    def choices_at_once(self) -> int:
        """The same for ``choose``, whose prompts hold two answers and need about twice the memory."""
        return max(1, self.items_at_once // 2)

    def resident_bytes(self) -> int:
        """Estimated bytes in memory when loaded; 0 where it holds none, or where they are unknown."""
        return 0

    def anchored(self, anchor: Callable[[Path], Path]) -> Self:
        """The spec with its files made relative to the experiment file."""
        paths = {
            name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Path)
        }
        return self.model_copy(update={name: anchor(path) for name, path in paths.items()})

    def stand_in(self) -> ModelSpec:
        """The small model for ``--scale smoke``, on transformers. UsageError where none is declared."""
        if self.smoke is None:
            raise UsageError("declares no smoke model")
        size = getattr(self, "batch_size", None)
        return model_spec(engine="hf", model=self.smoke, chat=self.chat, batch_size=size)


def model_spec(**fields: Any) -> ModelSpec:
    """The model spec that these fields describe, of the class of its engine."""
    spec: ModelSpec = ModelSpec.model_validate(fields)
    return spec


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

    def identity(self) -> dict[str, Any]:
        """What decides the outputs (engine, weights, precision), found without loading weights."""

    def load(self) -> None:
        """Bring the weights into memory. Called once."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete one batch, in order."""

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Next-token probability of each choice, in the order of the requests."""


def make_engine(spec: ModelSpec) -> Engine:
    """The engine of a model, without its weights."""
    return spec.make()
