"""Forward passes over a batch: prompts, then one token per row at a time; logits come out.

``SharedForward`` computes a common prefix once and updates keys and values in place; ``PlainForward`` is
transformers' own method, for models with other kinds of attention. ``fast_path`` chooses between them.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from aligner_bench.engines.batches import by_prefix, overlap
from aligner_bench.engines.row_cache import ATTENTION, Prefix, RowCache, Span, cache_argument

_LEAST_PREFIX = 8  # tokens; below this the second attention costs more than it saves
_KEPT_PREFIXES = 8
_KEPT_TOKENS = 8192  # of all cached prefixes together: they take memory like any other tokens
# Tokens per pass over prompts: bounds memory and padding. On a CPU the activations of 1,024 tokens stay in
# its cache, which is a fifth faster in float32 than 4,096 at once.
_PREFILL_TOKENS, _PREFILL_TOKENS_CPU = 4096, 1024
Groups = Sequence[Sequence[Sequence[int]]]
"""Token ids of prompts, in groups with a common prefix."""


class Forward(Protocol):
    """A batch of prompts being continued."""

    computed: int

    def begin(self, groups: Groups, new_tokens: int) -> torch.Tensor:
        """Read groups of prompts, each shortest first; return next-token logits (rows, vocabulary)."""

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append one token to each row; return the next logits (rows, vocabulary)."""

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these (ascending indices)."""


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Return the number of leading tokens that all prompts share, leaving at least one token of each."""
    low, high = min(map(tuple, prompts)), max(map(tuple, prompts))
    return min(overlap(low, high), min(len(prompt) for prompt in prompts) - 1)


class PrefixStore:
    """Cache of a model's most recent prefixes, reused by the next batch of the same template."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: list[Prefix] = []

    def find(self, prompts: Sequence[Sequence[int]]) -> tuple[Prefix | None, int]:
        """Return the prefix for these prompts, if any, and the number of tokens computed for it."""
        shared = common_prefix(prompts)
        leading = tuple(prompts[0][:shared])
        best = max(self._kept, key=lambda kept: overlap(kept.ids, leading), default=None)
        reach = overlap(best.ids, leading) if best else 0
        # A longer prefix must save more than it costs.
        if shared < _LEAST_PREFIX or (shared - reach) * (len(prompts) - 1) <= (shared if reach else 0):
            return (best.head(reach), 0) if best and reach >= _LEAST_PREFIX else (None, 0)
        made = self._compute(leading)
        self._kept = [made, *self._kept[: _KEPT_PREFIXES - 1]]
        while len(self._kept) > 1 and sum(len(kept.ids) for kept in self._kept) > _KEPT_TOKENS:
            self._kept.pop()
        return made, shared

    def clear(self) -> None:
        """Drop all prefixes to free their memory."""
        self._kept = []

    def _compute(self, ids: tuple[int, ...]) -> Prefix:
        cache = RowCache(1, len(ids))
        cache.window(0, 1, 0, len(ids))
        device = self._model.device
        self._model(
            input_ids=torch.tensor([ids], device=device),
            attention_mask=_causal_mask([0], len(ids), self._model.dtype, device),
            position_ids=torch.arange(len(ids), device=device)[None],
            use_cache=True,
            logits_to_keep=1,
            **{cache_argument(self._model): cache},
        )
        return Prefix(ids, list(zip(cache.keys, cache.values, strict=True)))


def _causal_mask(pads: Sequence[int], width: int, dtype: torch.dtype, device: Any) -> torch.Tensor:
    """Return the additive causal mask (rows, 1, width, width), with left padding hidden."""
    columns = torch.arange(width, device=device)
    real = columns[None, None, :] >= torch.tensor(pads, device=device)[:, None, None]
    earlier = columns[None, None, :] <= columns[None, :, None]
    itself = columns[None, None, :] == columns[None, :, None]  # padding too: a row without any gives NaN
    mask = torch.zeros((len(pads), width, width), dtype=dtype, device=device)
    return mask.masked_fill_(~((real & earlier) | itself), torch.finfo(dtype).min)[:, None]


class SharedForward:
    """The shared-prefix method; ``computed`` counts the prompt tokens computed, without padding."""

    def __init__(self, model: Any, prefixes: PrefixStore) -> None:
        self._model = model
        self._prefixes = prefixes
        self._cache_argument = cache_argument(model)
        self.computed = 0

    def begin(self, groups: Groups, new_tokens: int) -> torch.Tensor:
        """Read the prompts in several passes, each over rows of one group and of similar length."""
        begins = [self._prefixes.find(group) for group in groups]
        shared = [len(prefix.ids) if prefix else 0 for prefix, _ in begins]
        own = [[prompt[at:] for prompt in group] for group, at in zip(groups, shared, strict=True)]
        lengths = [len(row) for group in own for row in group]
        self.computed = sum(made for _, made in begins) + sum(lengths)
        self._end = max(lengths)
        self._cache = RowCache(len(lengths), self._end + new_tokens)
        self._spans: list[Span] = []
        logits, first, device = [], 0, self._model.device
        for (prefix, _), group in zip(begins, own, strict=True):
            for rows in passes([len(row) for row in group], device):
                logits.append(self._read(group[rows], first + rows.start, prefix))
            if prefix:
                self._spans.append(Span(prefix, slice(first, first + len(group))))
            first += len(group)
        self._follow(lengths, [at for at, group in zip(shared, own, strict=True) for _ in group], new_tokens)
        return torch.cat(logits)

    def _follow(self, lengths: Sequence[int], shared: Sequence[int], new_tokens: int) -> None:
        """Prepare the decoding steps: the padding mask and the positions."""
        device, dtype = self._model.device, self._model.dtype
        own = torch.tensor(lengths, device=device)
        columns = torch.arange(self._end + new_tokens, device=device)
        hidden = columns[None] < (self._end - own)[:, None]
        mask = torch.zeros(hidden.shape, dtype=dtype, device=device)
        self._mask = mask.masked_fill_(hidden, torch.finfo(dtype).min)
        self._positions = (own + torch.tensor(shared, device=device))[:, None]

    def _read(self, own: Sequence[Sequence[int]], first: int, prefix: Prefix | None) -> torch.Tensor:
        device = self._model.device
        width = max(len(row) for row in own)
        pads = [width - len(row) for row in own]
        ids = torch.tensor([[0] * pad + list(row) for pad, row in zip(pads, own, strict=True)], device=device)
        shift = torch.tensor(pads, device=device)[:, None]
        positions = (torch.arange(width, device=device)[None] - shift).clamp(min=0)
        positions += len(prefix.ids) if prefix else 0
        self._cache.window(first, first + len(own), self._end - width, self._end)
        spans = [Span(prefix, slice(0, len(own)))] if prefix else []
        return self._run(ids, positions, _causal_mask(pads, width, self._model.dtype, device), spans)

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append one column."""
        self._end += 1
        self._cache.window(0, len(tokens), 0, self._end)
        ids = torch.tensor(tokens, device=self._model.device)[:, None]
        logits = self._run(ids, self._positions, self._mask[:, None, None, : self._end], self._spans)
        self._positions = self._positions + 1
        return logits

    def _run(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, spans: Sequence[Span]
    ) -> torch.Tensor:
        extra: dict[str, Any] = {"shared_prefixes": spans} if spans else {}
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: self._cache},
            **extra,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def keep(self, rows: Sequence[int]) -> None:
        """Free the memory of rows that ended."""
        chosen = torch.tensor(rows, device=self._model.device)
        self._cache.keep(chosen)
        self._mask, self._positions = self._mask[chosen], self._positions[chosen]
        moved = [
            Span(prefix, slice(bisect_left(rows, span.start), bisect_left(rows, span.stop)))
            for prefix, span in self._spans
        ]
        self._spans = [span for span in moved if span.rows.start < span.rows.stop]


def grouped(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return indices of prompts in groups worth a shared prefix, each shortest first."""
    return [sorted(group, key=lambda i: len(prompts[i])) for group in by_prefix(prompts)]


def passes(lengths: Sequence[int], device: torch.device) -> list[slice]:
    """Return slices of ascending lengths whose padded size stays within the tokens of one pass."""
    most = _PREFILL_TOKENS_CPU if device.type == "cpu" else _PREFILL_TOKENS
    cuts, start = [], 0
    for i, length in enumerate(lengths):
        if i > start and length * (i + 1 - start) > most:
            cuts.append(slice(start, i))
            start = i
    return [*cuts, slice(start, len(lengths))]


class PlainForward:
    """Transformers' own cache and masks, with the whole batch padded on the left."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache_argument = cache_argument(model)
        self.computed = 0

    def begin(self, groups: Groups, new_tokens: int) -> torch.Tensor:
        """Read all prompts at once."""
        prompts = [prompt for group in groups for prompt in group]
        width = max(len(prompt) for prompt in prompts)
        self.computed = sum(len(prompt) for prompt in prompts)
        ids = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        self._mask = torch.tensor(mask, device=self._model.device)
        self._cache = None
        return self._run(
            torch.tensor(ids, device=self._model.device), (self._mask.cumsum(-1) - 1).clamp(min=0)
        )

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append one token per row."""
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(tokens), 1))], dim=-1)
        ids = torch.tensor(tokens, device=self._model.device)[:, None]
        return self._run(ids, self._mask.sum(-1, keepdim=True) - 1)

    def _run(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        output = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: self._cache},
        )
        self._cache = getattr(output, self._cache_argument)
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def keep(self, rows: Sequence[int]) -> None:
        """Drop the cache of rows that ended."""
        chosen = torch.tensor(rows, device=self._model.device)
        assert self._cache is not None
        self._cache.batch_select_indices(chosen)
        self._mask = self._mask[chosen]


def fast_path(model: Any) -> bool:
    """Switch the model to shared prefixes if a probe gives the same logits; return whether it did.

    Attention windows are longer than a probe, so models with windows are recognised by their configuration.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if kinds != {"full_attention"} or window or getattr(config, "attn_logit_softcapping", None):
        return False
    before = config._attn_implementation
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = _probe(PlainForward(model), config.vocab_size)
            model.set_attn_implementation(ATTENTION)
            found = _probe(SharedForward(model, PrefixStore(model)), config.vocab_size)
    except (TypeError, ValueError, AttributeError, RuntimeError, NotImplementedError):
        found = None
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.05
    if found is not None and (found - wanted).abs().max() <= tolerance * wanted.abs().max():
        return True
    model.set_attn_implementation(before)
    return False


def _probe(forward: Forward, vocabulary: int) -> torch.Tensor:
    """Return logits of two prompt pairs with common prefixes, unequal lengths, and one more token."""
    shared = list(range(5, 5 + _LEAST_PREFIX + 4))
    other = [token + 3 for token in shared]
    groups = [[[*shared, 50], [*shared, 40, 41, 42]], [[*other, 44], [*other, 45]]]
    first = forward.begin([[[t % vocabulary for t in ids] for ids in group] for group in groups], 1)
    return torch.cat([first, forward.step([t % vocabulary for t in (60, 61, 62, 63)])]).float()
