"""The values that make up a suite: messages, prompts, suites."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from aligner_bench.core.errors import UsageError
from aligner_bench.core.hashing import canonical_json, sha256_text


@dataclass(frozen=True, slots=True)
class Message:
    """One earlier turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. `family` groups prompts that are not independent; `history` holds earlier turns."""

    prompt_id: str
    text: str
    category: str = "all"
    criterion: str | None = None
    family: str | None = None
    references: tuple[str, ...] = ()
    incorrect: tuple[str, ...] = ()
    history: tuple[Message, ...] = ()

    def content_digest(self) -> bytes:
        """Return a digest of 32 bytes of all fields of the prompt, including its id."""
        turns = [[turn.role, turn.content] for turn in self.history]
        row = [self.prompt_id, self.text, self.category, self.criterion, self.family]
        content = canonical_json([*row, self.references, self.incorrect, turns])
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


def content_hash(digests: Iterable[bytes]) -> str:
    """Return the SHA-256 over the sorted prompt digests; the order of rows does not matter.

    Sorting digests instead of ids needs only 32 bytes per row when streaming.
    """
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


@dataclass(frozen=True, slots=True)
class Suite:
    """A set of prompts in source order, with its source and a hash of its content.

    `categories` are in declared order; those in `relevant` come first in charts. `source` names the loaded
    source, without machine-specific folders. `approximate` marks a subset that is not exactly the published
    one; `note` gives the reason.
    """

    name: str
    version: str
    licence: str
    source: str
    content_hash: str
    prompts: tuple[Prompt, ...] = field(repr=False)
    categories: tuple[str, ...]
    relevant: tuple[str, ...] = ()
    description: str = ""
    subset: str | None = None
    approximate: bool = False
    note: str = ""

    @classmethod
    def of(cls, name: str, prompts: Iterable[Prompt], *, version: str, licence: str, source: str) -> Suite:
        """A suite of these prompts, hashed, its categories sorted. UsageError for a repeated id."""
        held = tuple(prompts)
        ids = Counter(prompt.prompt_id for prompt in held)
        twice = next((prompt_id for prompt_id, count in ids.items() if count > 1), None)
        if twice is not None:
            raise UsageError(f"suite {name}: prompt_id {twice!r} is used {ids[twice]} times; expected once")
        categories = tuple(sorted({prompt.category for prompt in held}))
        hashed = content_hash(prompt.content_digest() for prompt in held)
        return cls(name, version, licence, source, hashed, held, categories)

    def __len__(self) -> int:
        return len(self.prompts)

    def narrowed(self, keep: Iterable[str]) -> Suite:
        """Return the suite with only the prompts whose ids are in `keep`, in suite order, with a new content
        hash.
        """
        wanted = frozenset(keep)
        prompts = tuple(p for p in self.prompts if p.prompt_id in wanted)
        present = {p.category for p in prompts}
        return replace(
            self,
            prompts=prompts,
            content_hash=content_hash(p.content_digest() for p in prompts),
            categories=tuple(c for c in self.categories if c in present),
            relevant=tuple(c for c in self.relevant if c in present),
        )

    def limit(self, n: int, seed: int = 0) -> Suite:
        """Return a seeded subset of at most `n` prompts, balanced over the categories, in suite order.

        The selection depends on ids, categories and seed, never on the row order.
        Raises ValueError if `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"a limit must be at least 1, not {n}")
        return self if n >= len(self.prompts) else self.narrowed(_balanced(self.prompts, n, seed))


def _rank(seed: int, kind: str, name: str) -> str:
    return sha256_text(canonical_json([seed, kind, name]))


def _balanced(prompts: Iterable[Prompt], n: int, seed: int) -> list[str]:
    """Return ids taken from each category in turn; categories and ids in seeded random order."""
    by_category: dict[str, list[str]] = defaultdict(list)
    for prompt in prompts:
        by_category[prompt.category].append(prompt.prompt_id)
    for ids in by_category.values():
        ids.sort(key=lambda prompt_id: _rank(seed, "prompt", prompt_id))
    order = sorted(by_category, key=lambda category: _rank(seed, "category", category))
    deepest = max(map(len, by_category.values()), default=0)
    turns = (by_category[c][i] for i in range(deepest) for c in order if i < len(by_category[c]))
    return [prompt_id for prompt_id, _ in zip(turns, range(n), strict=False)]
