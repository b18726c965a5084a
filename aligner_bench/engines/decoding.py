"""The decoding loop of the ``hf`` engine: rows are independent and leave the batch when they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aligner_bench.core.types import Decoding, FinishReason, Request
from aligner_bench.engines.prompts import cut_at_stop, item_seed

if TYPE_CHECKING:
    import torch

    from aligner_bench.engines.forward import Forward

_COMPACT_AT = 0.25  # rebuild the cache once this share of the rows has ended
_NEAR_TIE = 1e-3  # logits; below it, rounding that depends on the batch may decide which token is best
_BYTES_PER_CHAR = 4  # so a stop string of n characters ends within the last 4 n tokens and one more


def item_stream(request: Request) -> np.random.Generator:
    """Return the random stream of one item, which depends only on its prompt, seed and sample index."""
    return np.random.Generator(np.random.PCG64(item_seed(request)))


class Decoded(NamedTuple):
    """A decoded answer; ``near_ties`` counts greedy choices that another summation order could change."""

    text: str
    reason: FinishReason
    tokens: int
    near_ties: int
    logprobs: tuple[dict[str, float], ...] = ()  # per token, where requested


class _Row:
    """One request while it is being decoded."""

    def __init__(self, request: Request, prompt: Sequence[int], stop_ids: Sequence[int]) -> None:
        self.request = request
        self.stop_ids = stop_ids
        self.skips_special = request.decoding.special_tokens == "skip"
        self.ids: list[int] = []
        self.seen = set(prompt) if request.decoding.repetition_penalty != 1.0 else set[int]()
        self.reason: FinishReason | None = None
        self.near_ties = 0
        self.logprobs: list[dict[str, float]] = []
        self.stream = item_stream(request) if request.decoding.temperature > 0 else None

    def take(self, token: int, tokenizer: Any, end_ids: set[int]) -> None:
        """Append a token and record whether it ends the row."""
        if token in end_ids:
            self.reason = "stop"
            return
        if token in self.stop_ids:
            self.reason = "stop_string"
            return
        self.ids.append(token)
        if self.seen:
            self.seen.add(token)
        if self._stopped(tokenizer):
            self.reason = "stop_string"
            return
        if len(self.ids) >= self.request.decoding.max_new_tokens:
            self.reason = "length"

    def _stopped(self, tokenizer: Any) -> bool:
        """Return whether the newest token completes a stop string; only tokens it can span are decoded."""
        decoding = self.request.decoding
        stops = (*decoding.stop, *decoding.stop_after)
        if not stops:
            return False
        window = _BYTES_PER_CHAR * max(map(len, stops)) + 2
        tail = tokenizer.decode(self.ids[-window:], skip_special_tokens=self.skips_special)
        return any(stop in tail for stop in stops)

    def text(self, tokenizer: Any) -> str:
        """Return the answer, cut at the first stop string; only new tokens are decoded."""
        text = str(
            tokenizer.decode(
                self.ids, skip_special_tokens=self.skips_special, clean_up_tokenization_spaces=False
            )
        )
        decoding = self.request.decoding
        return cut_at_stop(text, decoding.stop, decoding.stop_after)[0]


def decode_batch(
    forward: Forward,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    requests: Sequence[Request],
    end_ids: set[int],
    stop_ids: Sequence[Sequence[int]],
) -> list[Decoded]:
    """Decode a batch of prompts (token ids); return the results in their order.

    ``stop_ids`` holds, for each prompt, token ids that end its answer like stop strings.
    """
    from aligner_bench.engines.forward import grouped

    rows = [_Row(*given) for given in zip(requests, prompts, stop_ids, strict=True)]
    groups = grouped(prompts)
    live = [rows[i] for group in groups for i in group]
    most = max((row.request.decoding.max_new_tokens for row in rows), default=0)
    logits = forward.begin([[prompts[i] for i in group] for group in groups], most) if rows else None
    while logits is not None:
        _note_logprobs(logits, live, tokenizer)
        for row, token in zip(live, _next_tokens(logits, live), strict=True):
            if row.reason is None:
                row.take(token, tokenizer, end_ids)
        running = [i for i, row in enumerate(live) if row.reason is None]
        if not running:
            break
        if len(live) - len(running) >= _COMPACT_AT * len(live):
            forward.keep(running)
            live = [live[i] for i in running]
        logits = forward.step([row.ids[-1] if row.ids else 0 for row in live])
    return [
        Decoded(row.text(tokenizer), row.reason or "length", len(row.ids), row.near_ties, tuple(row.logprobs))
        for row in rows
    ]


def _note_logprobs(logits: torch.Tensor, rows: Sequence[_Row], tokenizer: Any) -> None:
    """Record the most probable next tokens of rows that request them, before temperature and penalties."""
    for i, row in enumerate(rows):
        if row.reason is None and row.request.top_logprobs:
            top = logits[i].double().log_softmax(-1).topk(row.request.top_logprobs)
            told: dict[str, float] = {}
            for token, value in zip(top.indices.tolist(), top.values.tolist(), strict=True):
                told.setdefault(tokenizer.decode([token]), value)
            row.logprobs.append(told)


def _next_tokens(logits: torch.Tensor, rows: Sequence[_Row]) -> list[int]:
    """Return the next token of each row: the most probable, or one drawn from the row's own stream.

    ``logits`` has shape (rows, vocabulary).
    """
    logits = _penalised(logits, rows)
    # In bfloat16 on a CPU, topk takes a fifth of argmax's time. Among equal logits the lower id wins, as
    # there.
    top = logits.topk(2, dim=-1)
    gaps = (top.values[:, 0] - top.values[:, 1]).tolist()
    pairs: list[list[int]] = top.indices.tolist()
    best = [min(pair) if gap == 0 else pair[0] for pair, gap in zip(pairs, gaps, strict=True)]
    for i, row in enumerate(rows):
        if row.reason is not None:
            continue
        if row.stream is not None:
            best[i] = _sample(logits[i].double().cpu().numpy(), row)
        elif gaps[i] < _NEAR_TIE:
            row.near_ties += 1
    return best


def _penalised(logits: torch.Tensor, rows: Sequence[_Row]) -> torch.Tensor:
    """Return the logits with each row's repetition penalty on tokens of its prompt or answer.

    Divides positive logits and multiplies negative ones (Keskar et al. 2019, CTRL, section 4.1, as
    implemented in transformers).
    """
    import torch

    marked = [i for i, row in enumerate(rows) if row.seen and row.reason is None]
    logits = logits.clone() if marked else logits
    for i in marked:
        seen = torch.tensor(sorted(rows[i].seen), device=logits.device)
        values, penalty = logits[i, seen], rows[i].request.decoding.repetition_penalty
        logits[i, seen] = torch.where(values < 0, values * penalty, values / penalty)
    return logits


def _sample(logits: np.ndarray[Any, Any], row: _Row) -> int:
    """Return a token by inverse-CDF sampling over those that top-k and top-p leave, in the order of ids.

    In the order of probabilities, two nearly equal tokens could swap places with the batch's rounding.
    """
    assert row.stream is not None
    decoding = row.request.decoding
    # All tokens below hold less than 1e-6 of the probability together; sorting 50,000 tokens is slower.
    ids = np.flatnonzero(logits > logits.max() - 25 * decoding.temperature)
    if decoding.top_k or decoding.top_p < 1.0:
        ids = np.sort(_best(ids, logits, decoding))
    weights = np.exp((logits[ids] - logits[ids].max()) / decoding.temperature)
    cumulative = np.cumsum(weights / weights.sum())
    drawn = int(np.searchsorted(cumulative, row.stream.random(), side="right"))
    return int(ids[min(drawn, len(ids) - 1)])


def _best(
    ids: np.ndarray[Any, Any], logits: np.ndarray[Any, Any], decoding: Decoding
) -> np.ndarray[Any, Any]:
    """Return the ids that top-k and then top-p leave."""
    order = ids[np.argsort(-logits[ids], kind="stable")]
    if decoding.top_k:
        order = order[: decoding.top_k]
    weights = np.exp((logits[order] - logits[order[0]]) / decoding.temperature)
    cumulative = np.cumsum(weights / weights.sum())
    return order[: int(np.searchsorted(cumulative, decoding.top_p)) + 1]
