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
from aligner_bench.engines.memory import total_memory

_USABLE = 0.9  # share of all memory, where the user sets no limit


def weights_key(identity: Mapping[str, Any]) -> str:
    """Return the key of a model's weights in memory.

    Models that differ only in the form of their prompts share a key.
    """
    return digest({name: value for name, value in identity.items() if name != "chat"})


@dataclass
class _Held:
    name: str
    thing: Any
    size: int
    used: int
    loaded: bool = True


class Residency:
    """Loaded models by key; ``budget`` is in bytes (default: most of the device's memory)."""

    def __init__(self, budget: int | None = None) -> None:
        self._budget = budget
        self._held: dict[str, _Held] = {}
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

    def done(self, key: str, items: int) -> None:
        """Subtract ``count`` completed items from those planned for a key."""
        self._planned[key] = max(0, self._planned.get(key, 0) - items)

    def get(self, key: str, name: str, size: int, make: Callable[[], Any]) -> Any:
        """Return the object of a key: the existing one, or a new one from ``make`` once it fits.

        The object may have methods ``load`` and ``unload``. Raises UsageError where it can never fit.
        """
        self._clock += 1
        held = self._held.get(key)
        if held is None or not held.loaded:
            self._make_room(name, size)
            thing = held.thing if held else make()
            if hasattr(thing, "limit_memory"):
                thing.limit_memory(self._budget)
            if hasattr(thing, "load"):
                thing.load()
            self.loads[name] = self.loads.get(name, 0) + 1
            held = self._held[key] = _Held(name, thing, size, self._clock)
        held.used = self._clock
        return held.thing

    def known(self, key: str) -> Any:
        """Return the object made under a key, loaded or not; None if there is none."""
        return self._held[key].thing if key in self._held else None

    def things(self) -> list[Any]:
        """Return all objects made, loaded or not."""
        return [held.thing for held in self._held.values()]

    def named(self, name: str) -> Any:
        """Return the object made for a name. Raises KeyError if there is none."""
        return {held.name: held.thing for held in self._held.values()}[name]

    def resident(self) -> dict[str, int]:
        """Return the estimated bytes of each loaded object, by name."""
        return {held.name: held.size for held in self._held.values() if held.loaded}

    def _make_room(self, name: str, size: int) -> None:
        if size > self.budget:
            raise UsageError(
                f"model {name} needs about {size / 2**30:.1f} GiB, more than the "
                f"{self.budget / 2**30:.1f} GiB that models may take; raise --memory, or choose a smaller "
                "model or dtype"
            )
        while size and sum(self.resident().values()) + size > self.budget:
            leaving = min(
                (item for item in self._held.items() if item[1].loaded and item[1].size),
                key=lambda item: (self._planned.get(item[0], 0), item[1].used),
            )
            self._unload(*leaving)

    def _unload(self, key: str, held: _Held) -> None:
        self.unloads[held.name] = self.unloads.get(held.name, 0) + 1
        if hasattr(held.thing, "unload"):
            held.thing.unload()
            held.loaded = False
        else:
            del self._held[key]
        gc.collect()
