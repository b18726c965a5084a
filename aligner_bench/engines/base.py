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
"""Items per batch for engines that do not form batches themselves."""
MODEL_DEFAULTS: dict[str, Any] = {
    "model": None, "path": None, "revision": None, "dtype": "float32", "chat": True, "batch_size": None,
    "base_url": None, "api_key_env": "OPENAI_API_KEY", "api_key_keyring": None, "concurrency": 32,
    "rpm": None, "tpm": None, "timeout": 120.0, "run_timeout": None, "batch_api": False, "retries": 5,
    "lora": None, "tensor_parallel_size": 1, "max_model_len": None, "enforce_eager": None,
    "kv_cache_gb": None, "unpack_gguf": False, "gpu_memory_utilization": None, "family": None, "smoke": None,
}  # fmt: skip
"""Fields of the single model class of version 0.1, which remain part of experiment hashes."""


class ModelSpec(Kind):
    """A model: an engine with weights. A subclass declares the engine's fields and implements ``make``."""

    registry: ClassVar[Registry] = ENGINES
    live: ClassVar[bool] = True
    """Whether it accepts arbitrary requests; false for recorded outputs."""
    holds_weights: ClassVar[bool] = True
    """Whether its weights are in this machine's memory."""
    paid: ClassVar[bool] = False
    """Whether its calls can cost money."""
    has_model: ClassVar[bool] = True
    """Whether it has a required field ``model``."""

    engine: str = Field(description="hf, vllm, vllm-server, openvino, openai, replay, or a plug-in's name")
    chat: bool = Field(True, description="wrap prompts in the model's chat template")
    family: str | None = Field(None, description="model family, for self-preference warnings")
    smoke: str | None = Field(None, description="the small model that --scale smoke uses instead")

    def make(self) -> Engine:
        """Return the engine, without loading weights. Raises UsageError for a missing file or package."""
        raise TypeError(f"{type(self).__name__} does not implement make")

    @property
    def label(self) -> str:
        """The model's display name."""
        return str(getattr(self, "model", None) or self.engine)

    @property
    def items_at_once(self) -> int:
        """Items per batch."""
        return getattr(self, "batch_size", None) or DEFAULT_BATCH

    @property
    def choices_at_once(self) -> int:
        """Items per batch of ``choose``, whose prompts hold two answers and need about twice the memory."""
        return max(1, self.items_at_once // 2)

    def resident_bytes(self) -> int:
        """Return the estimated bytes in memory when loaded; 0 where there are none or they are unknown."""
        return 0

    def anchored(self, anchor: Callable[[Path], Path]) -> Self:
        """Return the spec with its paths resolved by ``anchor``, relative to the experiment file."""
        paths = {
            name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Path)
        }
        return self.model_copy(update={name: anchor(path) for name, path in paths.items()})

    def stand_in(self) -> ModelSpec:
        """Return the small model for ``--scale smoke``. Raises UsageError where none is declared."""
        if self.smoke is None:
            raise UsageError("declares no smoke model")
        size = getattr(self, "batch_size", None)
        return model_spec(engine="hf", model=self.smoke, chat=self.chat, batch_size=size)


def model_spec(**fields: Any) -> ModelSpec:
    """Return the model spec of these fields, of the class of its engine. Raises ValidationError."""
    spec: ModelSpec = ModelSpec.model_validate(fields)
    return spec


class Notes(Protocol):
    """A small persistent store for state that an engine must keep. The ledger is one."""

    def note(self, key: str) -> Any:
        """Return the value of a key; None if there is none."""

    def set_note(self, key: str, value: Any) -> None:
        """Store a value of plain data at once; None removes it."""


@dataclass(frozen=True)
class Hooks:
    """Callbacks of a stream of calls, by item key. Both may be called from another thread.

    ``may_start`` is called before each item's first call; once it returns false, no further item of the
    stream starts, while those in flight are completed and yielded. ``finished`` is called with every
    completion before another item starts in its place, so that a budget is exceeded by at most the calls in
    flight.
    """

    may_start: Callable[[str], bool] = lambda _: True
    finished: Callable[[str, Completion], None] = lambda _, __: None
    notes: Notes | None = None


@runtime_checkable
class StreamingEngine(Protocol):
    """An engine that keeps many calls in flight and yields each result as it arrives, in any order.

    Keys identify the items and are the same in every process, so that a server can recognise a repeated
    call. Items that did not start (``may_start``, a time limit) are left out. Where the engine itself ended
    the stream, it raises UsageError after yielding everything completed.
    """

    def stream(
        self, requests: Mapping[str, Request], hooks: Hooks | None = None
    ) -> Iterator[dict[str, Completion]]:
        """Yield completions by key, in small bundles."""

    def stream_choices(
        self, requests: Mapping[str, Request], choices: Sequence[str], hooks: Hooks | None = None
    ) -> Iterator[dict[str, dict[str, float]]]:
        """Yield choice probabilities by key, as ``choose``; an empty mapping is a failed call."""


@runtime_checkable
class CuttingEngine(Protocol):
    """An engine that forms batches itself: which requests share one, and how many fit its memory."""

    def cut(self, requests: Sequence[Request], new_tokens: int | None = None) -> list[list[int]]:
        """Return the indices of the requests in batches; the same list gives the same batches.

        ``new_tokens`` is each request's number of new tokens where it differs from its decoding.
        """


class Engine(Protocol):
    """Runs one model. Constructing an engine is cheap; ``load`` loads the weights."""

    def identity(self) -> dict[str, Any]:
        """Return what decides the outputs (engine, weights, precision), without loading weights."""

    def load(self) -> None:
        """Load the weights. Called once."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete one batch, in order."""

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Return the next-token probability of each choice, in the order of the requests."""


def make_engine(spec: ModelSpec) -> Engine:
    """Return the engine of a model, without its weights."""
    return spec.make()
