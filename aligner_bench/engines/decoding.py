"""The decoding loop of the ``hf`` engine: left-padded batches whose rows do not influence each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aligner_bench.engines.prompts import cut_at_stop, item_seed
from aligner_bench.types import FinishReason, Request

if TYPE_CHECKING:
    import torch

_COMPACT_AT = 0.25  # rebuilding the cache pays once this share of the rows has ended


def left_pad(rows: Sequence[Sequence[int]], pad: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each (rows, longest), padded on the left."""
    import torch

    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[i, width - len(row) :] = 1
    return ids.to(device), mask.to(device)


def item_stream(request: Request) -> np.random.Generator:
    """The random stream of one item: it depends on its prompt, seed and sample index, on nothing else."""
    return np.random.Generator(np.random.PCG64(item_seed(request)))


class _Row:
    """One request while it is being decoded."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.ids: list[int] = []
        self.reason: FinishReason | None = None
        self.stream = item_stream(request) if request.decoding.temperature > 0 else None

    def take(self, token: int, tokenizer: Any, end_ids: set[int]) -> None:
        """Accept one more token and note whether the row ends with it."""
        if token in end_ids:
            self.reason = "stop"
            return
        self.ids.append(token)
        stops = self.request.decoding.stop
        if stops:
            text = tokenizer.decode(self.ids, skip_special_tokens=True)
            if any(stop in text for stop in stops):
                self.reason = "stop_string"
                return
        if len(self.ids) >= self.request.decoding.max_new_tokens:
            self.reason = "length"

    def text(self, tokenizer: Any) -> str:
        """The answer, cut before the first stop string; only new tokens are decoded."""
        text = str(tokenizer.decode(self.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return cut_at_stop(text, self.request.decoding.stop)[0]


def decode_batch(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    requests: Sequence[Request],
    end_ids: set[int],
) -> list[tuple[str, FinishReason, int]]:
    """Text, finish reason and number of new tokens of each prompt, in order."""
    import torch

    if not prompts:
        return []
    rows = [_Row(request) for request in requests]
    live = list(rows)
    ids, mask = left_pad(prompts, tokenizer.pad_token_id, str(model.device))
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1
    )
    cache = output.past_key_values
    while True:
        for row, token in zip(live, _next_tokens(output.logits[:, -1], live), strict=True):
            if row.reason is None:
                row.take(token, tokenizer, end_ids)
        ended = sum(row.reason is not None for row in live)
        if ended == len(live):
            break
        if ended >= _COMPACT_AT * len(live):
            keep = torch.tensor([i for i, row in enumerate(live) if row.reason is None], device=mask.device)
            cache.batch_select_indices(keep)
            mask = mask[keep]
            live = [row for row in live if row.reason is None]
        tokens = [row.ids[-1] if row.ids else tokenizer.pad_token_id for row in live]
        mask = torch.cat([mask, mask.new_ones((len(live), 1))], dim=-1)
        output = model(
            input_ids=torch.tensor(tokens, device=mask.device)[:, None],
            attention_mask=mask,
            position_ids=mask.sum(-1, keepdim=True) - 1,
            past_key_values=cache,
            use_cache=True,
        )
    return [(row.text(tokenizer), row.reason or "length", len(row.ids)) for row in rows]


def _next_tokens(logits: torch.Tensor, rows: Sequence[_Row]) -> list[int]:
    """The next token of each row: the best one, or one drawn from the row's own stream."""
    best: list[int] = logits.argmax(-1).tolist()
    for i, row in enumerate(rows):
        if row.stream is not None and row.reason is None:
            best[i] = _sample(logits[i].double().cpu().numpy(), row)
    return best


def _sample(logits: np.ndarray[Any, Any], row: _Row) -> int:
    """Inverse-CDF sampling over the tokens that top-k and top-p leave, best first."""
    assert row.stream is not None
    decoding = row.request.decoding
    # Everything further down holds less than 1e-6 of the mass together; sorting 50,000 tokens costs more.
    candidates = np.flatnonzero(logits > logits.max() - 25 * decoding.temperature)
    order = candidates[np.argsort(-logits[candidates], kind="stable")]
    if decoding.top_k:
        order = order[: decoding.top_k]
    weights = np.exp((logits[order] - logits[order[0]]) / decoding.temperature)
    cumulative = np.cumsum(weights / weights.sum())
    if decoding.top_p < 1.0:
        kept = int(np.searchsorted(cumulative, decoding.top_p)) + 1
        cumulative = cumulative[:kept] / cumulative[min(kept, len(cumulative)) - 1]
    drawn = int(np.searchsorted(cumulative, row.stream.random(), side="right"))
    return int(order[min(drawn, len(cumulative) - 1)])
