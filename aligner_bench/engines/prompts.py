"""Convert requests to token ids: the chat template, and a budget that shortens only the answer's end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import file_digest
from aligner_bench.core.types import Request
from aligner_bench.engines.embedded import SMOLLM2, embedded_path, weights_digest
from aligner_bench.engines.gguf import gguf_digest, is_gguf
from aligner_bench.engines.weights import WeightsModel


class PromptTokenizer(Protocol):
    """What prompts need from a tokenizer, independent of its library."""

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return token ids; ``special`` adds the special tokens that the model expects around plain text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, including special tokens."""

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""

    def render(self, turns: Sequence[dict[str, str]]) -> str | None:
        """Return turns in the chat template, ready for the answer; None for a model without one."""


class TransformersTokenizer:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return token ids."""
        return list(self._tokenizer.encode(text, add_special_tokens=special))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def render(self, turns: Sequence[dict[str, str]]) -> str | None:
        """Return the turns in the chat template; None for a model without one."""
        if not self._tokenizer.chat_template:
            return None
        rendered = self._tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=True
        )
        return str(rendered)


class PromptBuilder:
    """Builds prompts for one model; ``context`` is in tokens, new ones included."""

    def __init__(self, tokenizer: PromptTokenizer, context: int, *, chat: bool) -> None:
        self._tokenizer = tokenizer
        self._chat = chat
        self._special: dict[str, tuple[int, ...]] = {}
        self.context = context

    def encode(self, request: Request, new_tokens: int) -> tuple[list[int], int]:
        """Return token ids that leave room for ``new_tokens``, and how many answer tokens were cut.

        Only the end of the answer is cut, never the template or the question. Empty ids: the prompt does
        not fit.
        """
        ids, _, cut = self._fit(request, new_tokens)
        return ids, cut

    def shorten(self, request: Request, new_tokens: int) -> tuple[Request, int]:
        """Return the request with the answer shortened to fit, and the tokens cut.

        For prompts that are built elsewhere. A request that cannot fit is returned unchanged.
        """
        ids, kept, cut = self._fit(request, new_tokens)
        return (replace(request, answer=kept), cut) if ids and cut else (request, 0)

    def stop_ids(self, request: Request) -> list[int]:
        """Return the ids of the stop strings that are special tokens, which decoded text does not show.

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


def first_tokens(encode: Callable[[str], Sequence[int]], choices: Sequence[str], model: str) -> list[int]:
    """Return the first token of each choice. Raises UsageError where two choices share theirs."""
    first = [encode(choice)[0] for choice in choices]
    if len(set(first)) < len(first):
        raise UsageError(f"the choices {', '.join(choices)} begin with the same token in {model}")
    return first


def item_seed(request: Request) -> int:
    """Return 128 bits that depend only on an item's prompt, seed and sample index."""
    text = "\x1f".join(
        [str(request.seed), str(request.sample), request.prefix, request.answer, request.suffix]
    )
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], "big")


def cut_at_stop(text: str, stops: Sequence[str], kept: Sequence[str] = ()) -> tuple[str, bool]:
    """Return a text cut before its first stop string, and whether there was one.

    Stop strings in ``kept`` remain part of the text.
    """
    ends = [text.index(stop) for stop in stops if stop in text]
    ends += [text.index(stop) + len(stop) for stop in kept if stop in text]
    return (text[: min(ends)].strip(), True) if ends else (text.strip(), False)


def weights_identity(spec: WeightsModel) -> dict[str, Any]:
    """Return the identity of a model's weights: a digest of local files, else hub name and revision."""
    name = spec.model
    if name == SMOLLM2:
        return {"model": SMOLLM2, "weights": file_digest(embedded_path(SMOLLM2))}
    if is_gguf(name):
        return {"weights": gguf_digest(Path(name))}
    folder = Path(name)
    if folder.is_dir():
        return {"weights": weights_digest(folder)}
    return {"model": name, "revision": spec.revision or "main"}
