"""Keep models in memory: load each once, evict only where the next one would not fit.

The model with the fewest items still planned is evicted first; among equals, the least recently used. Sizes
are estimated before loading (`aligner_bench.engines.memory`); engines that hold no weights count as zero
and are never evicted.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.hashing import digest
from aligner_bench.engines.memory import GIB, total_memory

_USABLE = 0.9  # share of all memory, where the user sets no limit


def weights_key(identity: Mapping[str, Any]) -> str:
    """Return the key of a model's weights in memory.

    Models that differ only in the form of their prompts share a key.
    """
    return digest({name: value for name, value in identity.items() if name != "chat"})


@dataclass
class _Entry:
    name: str
    instance: Any
    size: int
    used: int
    loaded: bool = True


class Residency:
    """Loaded models by key; ``budget`` is in bytes (default: most of the device's memory)."""

    def __init__(self, budget: int | None = None) -> None:
        self._budget = budget
        self._entries: dict[str, _Entry] = {}
        self._clock = 0
        self._planned: dict[str, int] = {}
        self.loads: dict[str, int] = {}
        """Loads per model, by the name that first used it."""
        self.unloads: dict[str, int] = {}
        """Evictions per model."""

    @property
    def budget(self) -> int:
        """Bytes that loaded models may take together."""
        return self._budget if self._budget is not None else int(_USABLE * total_memory())

    def plan(self, items: Mapping[str, int]) -> None:
        """Add to the number of items planned for each key."""
        for key, count in items.items():
            self._planned[key] = self._planned.get(key, 0) + count

    def complete(self, key: str, items: int) -> None:
        """Subtract completed items from those planned for a key."""
        self._planned[key] = max(0, self._planned.get(key, 0) - items)

    def get(self, key: str, name: str, size: int, make: Callable[[], Any]) -> Any:
        """Return the object of a key: the existing one, or a new one from ``make`` once it fits.

        The object may have methods ``load`` and ``unload``. Raises UsageError where it can never fit.
        """
        self._clock += 1
        entry = self._entries.get(key)
        if entry is None or not entry.loaded:
            self._make_room(name, size)
            instance = entry.instance if entry else make()
            if hasattr(instance, "limit_memory"):
                instance.limit_memory(self._budget)
            if hasattr(instance, "load"):
                instance.load()
            self.loads[name] = self.loads.get(name, 0) + 1
            entry = self._entries[key] = _Entry(name, instance, size, self._clock)
        entry.used = self._clock
        return entry.instance

    def find(self, key: str) -> Any:
        """Return the object made under a key, loaded or not; None if there is none."""
        return self._entries[key].instance if key in self._entries else None

    def instances(self) -> list[Any]:
        """Return all objects made, loaded or not."""
        return [entry.instance for entry in self._entries.values()]

    def named(self, name: str) -> Any:
        """Return the object made for a name. Raises KeyError if there is none."""
        return {entry.name: entry.instance for entry in self._entries.values()}[name]

    def resident(self) -> dict[str, int]:
        """Return the estimated bytes of each loaded object, by name."""
        return {entry.name: entry.size for entry in self._entries.values() if entry.loaded}

    def _make_room(self, name: str, size: int) -> None:
        if size > self.budget:
            raise UsageError(
                f"model {name} needs about {size / GIB:.1f} GiB, more than the "
                f"{self.budget / GIB:.1f} GiB that models may take; raise --memory, or choose a smaller "
                "model or dtype"
            )
        while size and sum(self.resident().values()) + size > self.budget:
            evicted = min(
                (item for item in self._entries.items() if item[1].loaded and item[1].size),
                key=lambda item: (self._planned.get(item[0], 0), item[1].used),
            )
            self._evict(*evicted)

    def _evict(self, key: str, entry: _Entry) -> None:
        self.unloads[entry.name] = self.unloads.get(entry.name, 0) + 1
        if hasattr(entry.instance, "unload"):
            entry.instance.unload()
            entry.loaded = False
        else:
            del self._entries[key]
        gc.collect()
