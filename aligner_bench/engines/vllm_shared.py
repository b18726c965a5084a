"""Loaded vLLM models, each shared by all adapters over its weights."""

from __future__ import annotations

import gc
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aligner_bench.core.errors import UsageError
from aligner_bench.engines.base import ModelSpec
from aligner_bench.engines.embedded import SMOLLM2, converted_smollm2, weights_digest
from aligner_bench.engines.memory import CPU_CACHE, GIB
from aligner_bench.engines.prompts import weights_identity
from aligner_bench.engines.vllm_env import ONE_PROCESS, defaults, installed_vllm
from aligner_bench.engines.vllm_fields import VLLMFields

_VERSION = 1  # part of the identity: raise it when the same weights would give other texts
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the adapter ranks that vLLM allocates


class Settings(NamedTuple):
    """Settings that two models must have in common to share weights in memory."""

    source: str
    revision: str | None
    dtype: str
    tensor_parallel_size: int
    max_model_len: int | None
    enforce_eager: bool | None
    kv_cache_gb: float | None
    gpu_memory_utilization: float | None


def settings_of(spec: VLLMFields) -> Settings:
    """Return a model's settings, without its adapter."""
    return Settings(
        spec.model or "",
        spec.revision,
        spec.dtype,
        spec.tensor_parallel_size,
        spec.max_model_len,
        spec.enforce_eager,
        spec.kv_cache_gb,
        spec.gpu_memory_utilization,
    )


class Loaded:
    """One ``vllm.LLM`` with its adapters, created by ``acquire`` and freed by ``release``."""

    def __init__(self, settings: Settings, adapters: Sequence[Path]) -> None:
        from vllm.platforms import current_platform

        self.device = "cpu" if current_platform.is_cpu() else str(current_platform.get_device_name())
        self.adapters = {path: number for number, path in enumerate(adapters, 1)}
        self.users = 0
        self._sleeps = not current_platform.is_cpu() and current_platform.is_sleep_mode_available()
        self._asleep = False
        self._requests = 0
        self._options = _options(settings, adapters, self.device == "cpu", self._sleeps)
        self.llm: Any = None
        self.wake()

    @property
    def context(self) -> int:
        """Context length in tokens, prompt and answer together."""
        return int(self.llm.llm_engine.model_config.max_model_len)

    def wake(self) -> None:
        """Occupy the device; other models release their memory where the device supports it."""
        for other in _LOADED.values():
            if other is not self:
                other.sleep()
        if self.llm is None:
            from vllm import LLM

            self.llm = LLM(**self._options)
        elif self._asleep:
            self.llm.wake_up()
        self._asleep = False

    def sleep(self) -> None:
        """Move the weights to main memory and drop the cache, on devices where vLLM can."""
        if self._sleeps and self.llm is not None and not self._asleep:
            self.llm.sleep(level=1)
            self._asleep = True

    def next_id(self) -> str:
        """Return a request number unused by any earlier stream, including cancelled ones."""
        self._requests += 1
        return str(self._requests)

    def shut_down(self) -> None:
        """Free weights and cache; ``wake`` loads them again."""
        if self.llm is not None:
            self.llm.llm_engine.engine_core.shutdown()
            self.llm = None
            gc.collect()


_LOADED: dict[Settings, Loaded] = {}


def acquire(spec: VLLMFields, beside: Sequence[ModelSpec]) -> Loaded:
    """Return the model's weights, loaded if no engine has loaded them yet.

    ``beside`` are all models of the run: adapters on the same weights must be known when these are loaded.
    Raises UsageError where an adapter comes too late.
    """
    settings = settings_of(spec)
    if settings not in _LOADED:
        installed_vllm()
        os.environ.update(defaults(os.environ))
        for other in _LOADED.values():
            other.sleep()
        ours = [one for one in (*beside, spec) if isinstance(one, VLLMFields) and one.engine == spec.engine]
        same = [other for other in ours if settings_of(other) == settings]
        adapters = list(dict.fromkeys(other.lora for other in same if other.lora is not None))
        _LOADED[settings] = _load(settings, adapters)
    loaded = _LOADED[settings]
    if spec.lora is not None and spec.lora not in loaded.adapters:
        name = spec.lora.name
        raise UsageError(f"engine vllm: {spec.model} was loaded without the adapter {name}; close it first")
    loaded.users += 1
    return loaded


def release(spec: VLLMFields) -> None:
    """Release the weights; the last user frees the memory."""
    loaded = _LOADED.get(settings_of(spec))
    if loaded is None:
        return
    loaded.users -= 1
    if loaded.users <= 0:
        del _LOADED[settings_of(spec)]
        loaded.shut_down()
        # In one process, shutting down one vLLM model ends state shared by all; the others reload on use.
        for other in _LOADED.values() if os.environ.get(ONE_PROCESS) == "0" else ():
            other.shut_down()


def adapter_rank(folder: Path) -> int:
    """Return the rank that a LoRA adapter needs, rounded up to one that vLLM allocates.

    Raises UsageError where the folder holds no adapter.
    """
    file = folder / "adapter_config.json"
    try:
        rank = int(json.loads(file.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"lora: {folder} is not a LoRA adapter (no readable adapter_config.json)") from error
    return next((size for size in _RANKS if size >= rank), rank)


def _load(settings: Settings, adapters: Sequence[Path]) -> Loaded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # vLLM warns of its own deprecations at every start
            return Loaded(settings, adapters)
    except ImportError as error:
        raise UsageError(f"engine vllm: vLLM is installed but cannot be imported: {error}") from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise UsageError(f"engine vllm: cannot load model {settings.source!r}: {reason}") from error


def _options(settings: Settings, adapters: Sequence[Path], cpu: bool, sleeps: bool) -> dict[str, Any]:
    """Return the arguments of ``vllm.LLM``."""
    options = _base_options(settings, cpu)
    if adapters:
        options |= {
            "enable_lora": True,
            "max_loras": 1,
            "max_cpu_loras": len(adapters),
            "max_lora_rank": max(adapter_rank(path) for path in adapters),
        }
    return options | {
        "model": str(converted_smollm2()) if settings.source == SMOLLM2 else settings.source,
        "enable_sleep_mode": sleeps,
        "use_tqdm_on_load": False,
    }


def server_options(settings: Settings, cpu: bool) -> list[str]:
    """Return the settings as options of vLLM's server, without model and adapters."""
    said: list[str] = []
    for name, value in _base_options(settings, cpu).items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            said.append(flag)
        elif value is not False:
            said += [flag, str(value)]
    return said


def _base_options(settings: Settings, cpu: bool) -> dict[str, Any]:
    """Return the common options. Compilation takes longer than most runs on a CPU and is skipped there."""
    eager = settings.enforce_eager
    cache = settings.kv_cache_gb or (CPU_CACHE if cpu else None)
    given = {
        "dtype": settings.dtype,
        "revision": settings.revision,
        "max_model_len": settings.max_model_len,
        "tensor_parallel_size": settings.tensor_parallel_size,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "kv_cache_memory_bytes": None if cache is None else int(cache * GIB),
        "enforce_eager": cpu if eager is None else eager,
        "enable_prefix_caching": True,
        "seed": 0,
    }
    return {name: value for name, value in given.items() if value is not None}


def model_identity(spec: VLLMFields, installed: str) -> dict[str, Any]:
    """Return what decides a vLLM model's texts, in this process or behind its server."""
    identity: dict[str, Any] = {
        "version": _VERSION,
        "vllm": installed,
        "dtype": spec.dtype,
        "chat": spec.chat,
        **weights_identity(spec),
    }
    if spec.lora is not None:
        adapter_rank(spec.lora)
        identity["lora"] = weights_digest(spec.lora)
    if spec.tensor_parallel_size > 1:
        identity["tensor_parallel_size"] = spec.tensor_parallel_size
    extra = {"max_model_len": spec.max_model_len, "enforce_eager": spec.enforce_eager}
    return identity | {name: value for name, value in extra.items() if value is not None}
