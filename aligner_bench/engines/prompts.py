"""From a request to token ids: chat template, and a budget that shortens nothing but the answer's end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from aligner_bench.core.files import file_digest
from aligner_bench.core.types import Request
from aligner_bench.engines.embedded import SMOLLM2, embedded_path, weights_digest
from aligner_bench.engines.gguf import gguf_digest, is_gguf
from aligner_bench.engines.weights import WeightsModel


class PromptTokenizer(Protocol):
    """What is asked of a tokenizer, whichever library it comes from."""

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Token ids; ``special`` adds what the model expects around a plain text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids, special tokens included."""

    def text(self, ids: Sequence[int]) -> str:
        """The text of some ids without special tokens."""

    def render(self, turns: Sequence[dict[str, str]]) -> str | None:
        """Turns in the model's chat template, ready for its answer; None for a model without one."""


class TransformersTokenizer:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Token ids."""
        return list(self._tokenizer.encode(text, add_special_tokens=special))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def text(self, ids: Sequence[int]) -> str:
        """The text of some ids without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def render(self, turns: Sequence[dict[str, str]]) -> str | None:
        """Turns in the chat template, if there is one."""
        if not self._tokenizer.chat_template:
            return None
        rendered = self._tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=True
        )
        return str(rendered)


class PromptBuilder:
    """Builds prompts for one model. ``context`` counts tokens, the new ones included."""

    def __init__(self, tokenizer: PromptTokenizer, context: int, *, chat: bool) -> None:
        self._tokenizer = tokenizer
        self._chat = chat
        self._special: dict[str, tuple[int, ...]] = {}
        self.context = context

    def encode(self, request: Request, new_tokens: int) -> tuple[list[int], int]:
        """Token ids that leave room for ``new_tokens``, and how many of the answer's tokens were cut.

        Only the end of the answer is cut, never the template or the question. Empty ids: it cannot fit.
        """
        ids, _, cut = self._fit(request, new_tokens)
        return ids, cut

    def shorten(self, request: Request, new_tokens: int) -> tuple[Request, int]:
        """The same for whoever builds prompts elsewhere: the request with the answer that fits, and the cut.

        A request that cannot fit comes back as it is.
        """
        ids, kept, cut = self._fit(request, new_tokens)
        return (replace(request, answer=kept), cut) if ids and cut else (request, 0)

    def stop_ids(self, request: Request) -> list[int]:
        """Ids of the stop strings that are special tokens of this model: no text shows where those are.

        Aligners trained with separators of their own have them as special tokens, with or without a space
        in front.
        """
        found: dict[int, None] = {}
        for stop in request.decoding.stop:
            if stop not in self._special:
                self._special[stop] = self._special_ids(stop)
            found.update(dict.fromkeys(self._special[stop]))
        return list(found)

    def _special_ids(self, stop: str) -> tuple[int, ...]:
        spelled = [text for text in dict.fromkeys((stop, stop.strip())) if text]
        encoded = [self._tokenizer.encode(text, special=False) for text in spelled]
        return tuple(ids[0] for ids in encoded if len(ids) == 1 and not self._tokenizer.text(ids))

    def _fit(self, request: Request, new_tokens: int) -> tuple[list[int], str, int]:
        budget = self.context - new_tokens
        ids, kept = self._tokens(request, request.answer), request.answer
        if len(ids) <= budget:
            return ids, kept, 0
        answer_ids = self._tokenizer.encode(request.answer, special=False)
        keep = len(answer_ids)
        while keep > 0 and len(ids) > budget:
            keep = max(0, keep - max(1, len(ids) - budget))
            kept = self._tokenizer.decode(answer_ids[:keep])
            ids = self._tokens(request, kept)
        return (ids, kept, len(answer_ids) - keep) if len(ids) <= budget else ([], request.answer, 0)

    def _tokens(self, request: Request, answer: str) -> list[int]:
        text = request.prefix + answer + request.suffix
        rendered = self._rendered(request, text) if request.chat and self._chat else None
        if rendered is None:
            return self._tokenizer.encode(text, special=True)
        return self._tokenizer.encode(rendered, special=False)

    def _rendered(self, request: Request, text: str) -> str | None:
        turns = [{"role": role, "content": content} for role, content in request.history]
        return self._tokenizer.render([*turns, {"role": "user", "content": text}])


def item_seed(request: Request) -> int:
    """128 bits that depend on an item's prompt, seed and sample index, and on nothing else."""
    text = "\x1f".join(
        [str(request.seed), str(request.sample), request.prefix, request.answer, request.suffix]
    )
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], "big")


def cut_at_stop(text: str, stops: Sequence[str], kept: Sequence[str] = ()) -> tuple[str, bool]:
    """A text before its first stop string, or through it where it is one of ``kept``; was there one?"""
    ends = [text.index(stop) for stop in stops if stop in text]
    ends += [text.index(stop) + len(stop) for stop in kept if stop in text]
    return (text[: min(ends)].strip(), True) if ends else (text.strip(), False)


def weights_identity(spec: WeightsModel) -> dict[str, Any]:
    """Which weights a model has: a digest of files where they lie here, else hub name and revision."""
    name = spec.model
    if name == SMOLLM2:
        return {"model": SMOLLM2, "weights": file_digest(embedded_path(SMOLLM2))}
    if is_gguf(name):
        return {"weights": gguf_digest(Path(name))}
    folder = Path(name)
    if folder.is_dir():
        return {"weights": weights_digest(folder)}
    return {"model": name, "revision": spec.revision or "main"}
