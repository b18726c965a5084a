"""DeBERTa's disentangled attention without gathers: equal numbers, computed faster on long texts.

A score is q_i k_j + q_i r(i - j) + k_j s(i - j), all over sqrt(3 d) (He et al. 2021, arXiv 2006.03654, eq.
4), where r and s depend on the distance only through its bucket. transformers looks both up for every (i,
j) with index tensors of that size. Here the two tables are expanded by distance, once per layer (2L - 1
rows), so that q r' and k s' are matrix products and "position i, distance i - j" is a view of them with
other strides. The computation is blocked to fit the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_PIECE = 1 << 19  # numbers in the largest temporary on a CPU: about the cache size
_PIECE_GPU = 1 << 28
_BLOCK, _BLOCK_GPU = 64, 512  # positions whose distances are expanded at once


def supported(config: Any) -> bool:
    """Return whether the network has DeBERTa-v3's form (shared position keys, both terms, no convolution)."""
    return (
        bool(getattr(config, "relative_attention", False))
        and bool(getattr(config, "share_att_key", False))
        and {"c2p", "p2c"} == set(config.pos_att_type or ())
        and getattr(config, "conv_kernel_size", 0) <= 0
    )


def encode(network: Any, ids: Any, mask: Any) -> Any:
    """Return last hidden states (B, L, D) of a ``DebertaV2Model`` in eval mode, from ids and mask (B, L)."""
    encoder = network.encoder
    states = network.embeddings(input_ids=ids, mask=mask)
    tables = encoder.get_rel_embedding()
    buckets = _buckets(encoder, ids.shape[1], ids.device)
    hidden = None
    if not bool(mask.all()):
        import torch

        hidden = torch.zeros(mask.shape, dtype=states.dtype, device=states.device)
        hidden = hidden.masked_fill(mask == 0, torch.finfo(states.dtype).min)
    for layer in encoder.layer:
        attention = layer.attention
        attended = attention.output(_attend(attention.self, states, tables, buckets, hidden), states)
        states = layer.output(layer.intermediate(attended), attended)
    return states


def _buckets(encoder: Any, length: int, device: Any) -> Any:
    """Return the row of the position table for each distance -(L - 1) .. L - 1, shape (2L - 1,)."""
    import torch
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    distance = torch.arange(-(length - 1), length, device=device)
    span = encoder.max_relative_positions
    if encoder.position_buckets > 0:
        distance = make_log_bucket_position(distance, encoder.position_buckets, span).to(torch.long)
        span = encoder.position_buckets
    return (distance + span).clamp(0, 2 * span - 1)


def _attend(attention: Any, states: Any, tables: Any, buckets: Any, hidden: Any) -> Any:
    """Return the context (B, L, D) of one layer, computed a few heads at a time."""
    import torch

    rows, length, _ = states.shape
    heads, size = attention.num_attention_heads, attention.attention_head_size

    def split(x: Any) -> Any:  # (..., T, heads * size) -> (..., heads, T, size)
        return x.view(*x.shape[:-1], heads, size).transpose(-3, -2)

    q, k, v = (
        split(layer(states)) for layer in (attention.query_proj, attention.key_proj, attention.value_proj)
    )
    # Queries move along keys (distance i - j falls with j), keys along queries (it rises with i).
    scale = (3 * size) ** -0.5
    near_q = split(attention.key_proj(tables)[buckets.flip(0)] * scale)
    near_k = split(attention.query_proj(tables)[buckets] * scale)
    piece, block = (_PIECE_GPU, _BLOCK_GPU) if states.is_cuda else (_PIECE, _BLOCK)
    step = max(1, min(heads, piece // (rows * length * length)))
    context = torch.empty((rows, heads, length, size), dtype=states.dtype, device=states.device)
    for start in range(0, heads, step):
        some = slice(start, start + step)
        bias = torch.empty(
            (rows, q[:, some].shape[1], length, length), dtype=states.dtype, device=states.device
        )
        for at, part in _by_place(q[:, some], near_q[some], block):
            bias[:, :, at] = part
        for at, part in _by_place(k[:, some], near_k[some], block):
            bias[:, :, :, at] += part.transpose(-1, -2)
        if hidden is not None:
            bias += hidden[:, None, None, :]
        context[:, some] = torch.nn.functional.scaled_dot_product_attention(
            q[:, some], k[:, some], v[:, some], attn_mask=bias, scale=scale
        )
    return context.transpose(1, 2).reshape(rows, length, heads * size)


def _by_place(own: Any, near: Any, block: int) -> Iterator[tuple[slice, Any]]:
    """Return products (B, H, r, L) of ``own`` (B, H, L, d) with the table row of each distance.

    Own position p and other position o need row L - 1 + o - p of the table ``near`` (H, 2L - 1, d). A block
    of r positions needs L + r - 1 of its rows; "position p, other o" is then a view of the product, each
    row of which starts one number earlier than the previous row.
    """
    length = own.shape[2]
    for start in range(0, length, block):
        end = min(start + block, length)
        table = near[:, length - end : 2 * length - 1 - start]
        product = (own[:, :, start:end] @ table.transpose(-1, -2)).contiguous()
        rows, heads, places, width = product.shape
        strides = (heads * places * width, places * width, width - 1, 1)
        view = product.as_strided(
            (rows, heads, places, length), strides, product.storage_offset() + places - 1
        )
        yield slice(start, end), view
