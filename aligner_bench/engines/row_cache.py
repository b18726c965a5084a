"""Keys and values of a batch: one buffer updated in place, and prefixes that its rows share.

A prefix (template, demonstrations, rubric, system prompt) is computed once, for one row, and never copied
to the others: attention to it is one product of its rows' queries with one matrix of keys, and the result
is combined with each row's attention to its own tokens by their log-sum-exps, which is exact (Juravsky et
al. 2024, "Hydragen", section 3). Layout of a row: shared prefix | padding | own tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from transformers.cache_utils import Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import AttentionInterface

ATTENTION = "aligner_bench_shared_prefix"
_FEW = 1 << 19  # scores per head up to which, in bfloat16, plain products beat torch's flash kernel on a CPU


def cache_argument(model: Any) -> str:
    """Return the name of the argument, and output field, that holds keys and values.

    transformers 5.24 renamed ``past_key_values`` to ``cache`` and accepts the old name until 5.40.
    """
    known = inspect.signature(model.forward).parameters
    return "cache" if "cache" in known and "past_key_values" not in known else "past_key_values"


class RowCache(Cache):  # type: ignore[misc]
    """Buffers of shape (rows, heads, columns, dim) for each layer; all rows end in the same column.

    ``window`` sets where the next forward pass writes: rows ``first`` to ``last`` and the columns up to
    ``end``; it attends to columns ``begin`` to ``end`` of those rows.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__(layers=[])
        self._shape = (rows, columns)
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.window(0, rows, 0, 0)

    def window(self, first: int, last: int, begin: int, end: int) -> None:
        """Set the rows and columns of the next forward pass."""
        self._rows, self._begin, self._end = slice(first, last), begin, end

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values at the window's end; return all of the window's, as views."""
        while len(self.keys) <= layer_idx:
            rows, columns = self._shape
            # Zeros, not uninitialised memory: a masked column has weight 0, and 0 times NaN is NaN.
            self.keys.append(key_states.new_zeros((rows, key_states.shape[1], columns, key_states.shape[3])))
            self.values.append(
                value_states.new_zeros((rows, value_states.shape[1], columns, value_states.shape[3]))
            )
        keys, values = self.keys[layer_idx][self._rows], self.values[layer_idx][self._rows]
        keys[:, :, self._end - key_states.shape[2] : self._end] = key_states
        values[:, :, self._end - key_states.shape[2] : self._end] = value_states
        return keys[:, :, self._begin : self._end], values[:, :, self._begin : self._end]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of columns before the next forward pass."""
        return max(0, self._end - self._begin - 1)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these (indices)."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]
        self._shape = (len(rows), self._shape[1])
        self._rows = slice(0, len(rows))


class Prefix(NamedTuple):
    """Keys and values of shared leading tokens; per layer two tensors (1, heads, tokens, dim)."""

    ids: tuple[int, ...]
    layers: list[tuple[torch.Tensor, torch.Tensor]]

    def head(self, tokens: int) -> Prefix:
        """Return a view of its first ``tokens`` tokens, which do not depend on what follows."""
        layers = [(keys[:, :, :tokens], values[:, :, :tokens]) for keys, values in self.layers]
        return Prefix(self.ids[:tokens], layers)


class Span(NamedTuple):
    """A prefix and the consecutive rows of the batch that begin with it."""

    prefix: Prefix
    rows: slice


def shared_prefix_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    shared_prefixes: Sequence[Span] = (),
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention in the format that transformers calls; ``query`` is (rows, heads, new, dim).

    ``attention_mask`` is additive and covers the rows' own columns; all queries of its rows see a prefix.
    """
    if not shared_prefixes or attention_mask is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)  # type: ignore[no-any-return]
    rows, heads, new, dim = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    scale = dim**-0.5 if scaling is None else scaling
    # Query heads that share a key head become additional queries of it: nothing is repeated in memory.
    packed = query.reshape(rows, kv_heads, group * new, dim)
    mask = attention_mask if new == 1 else attention_mask.repeat(1, 1, group, 1)
    out, mass = _attend(packed, key, value, mask, scale)
    for prefix, span in shared_prefixes:
        queries, own = packed[span], out[span]
        all_rows = queries.transpose(0, 1).reshape(1, kv_heads, -1, dim)
        keys, values = prefix.layers[module.layer_idx]
        common, common_mass = _attend(all_rows, keys, values, None, scale)
        common = common.view(kv_heads, len(own), group * new, dim).transpose(0, 1)
        common_mass = common_mass.view(kv_heads, len(own), group * new).transpose(0, 1)
        share = torch.sigmoid(common_mass - mass[span]).unsqueeze(-1).to(own.dtype)
        out[span] = own + (common - own) * share
    return out.reshape(rows, heads, new, dim).transpose(1, 2).contiguous(), None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return attention, and each query's log-sum-exp (rows, heads, queries)."""
    few = mask is None and query.shape[2] * key.shape[2] <= _FEW and query.dtype == torch.bfloat16
    if query.device.type == "cpu" and query.dtype != torch.float16 and not few:
        both: tuple[torch.Tensor, torch.Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=mask, scale=scale
        )
        return both
    scores = torch.matmul(query * scale, key.transpose(-1, -2)).float()
    scores = scores if mask is None else scores + mask
    largest = scores.amax(dim=-1, keepdim=True)
    weights = torch.exp(scores - largest)
    total = weights.sum(dim=-1, keepdim=True)
    out = torch.matmul(weights.to(value.dtype), value) / total.to(value.dtype)
    return out, (largest + total.log()).squeeze(-1)


AttentionInterface.register(ATTENTION, shared_prefix_attention)
