"""A pair ranker on plain transformers: encodings of (source, candidate) and LLM-Blender's head.

The network is that of Jiang, Ren and Lin 2023 (LLM-Blender, arXiv 2306.02561): the encodings of the markers
of the source and of one candidate, concatenated, pass through linear, tanh, linear; the logit is the left
candidate's score minus the right one's. Unlike in the authors' package, truncation depends on one pair
only, pairs of similar length share a batch, and marker words inside a text are removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.types import PairLogit, PairText
from aligner_bench.judges.pairrm.attention import encode, supported
from aligner_bench.judges.pairrm.checkpoint import Checkpoint, find_checkpoint
from aligner_bench.judges.pairrm.spec import PairRMSpec
from aligner_bench.judges.pairrm.tiny import MARKERS

_DIGITS = 5  # batching changes the 7th digit of a logit
_BATCH_TOKENS, _BATCH_TOKENS_GPU = 2048, 16384  # padded tokens of one pass; a CPU gains nothing from more
_EMBEDDINGS = "pretrained_model.embeddings.word_embeddings.weight"


class Encoded(NamedTuple):
    """Token ids of one pair, the positions of its three markers, and how many tokens did not fit."""

    ids: list[int]
    places: tuple[int, int, int]
    cut: int


class PairEncoder:
    """Encodes texts: each part as CLS, marker, text, separator; truncation depends on one pair only.

    ``fixed``: an answer has ``candidate_tokens``. ``spare``: it also has half of what its own source leaves
    unused, as in ``Blender.rank`` with one pair per call.
    """

    def __init__(self, tokenizer: Any, checkpoint: Checkpoint, rule: str) -> None:
        tokenizer.add_tokens(list(MARKERS))
        self._tokenizer = tokenizer
        self._limits = (checkpoint.source_tokens, checkpoint.candidate_tokens)
        self._spare = rule == "spare"
        self._markers = tokenizer.convert_tokens_to_ids(list(MARKERS[:3]))
        self._reserved = [*MARKERS, *tokenizer.all_special_tokens]
        if len(set(self._markers)) < len(self._markers):
            raise UsageError(
                f"{checkpoint.backbone}: its tokenizer cannot hold the markers {', '.join(MARKERS[:3])}"
            )

    def encode(self, pairs: Sequence[PairText]) -> list[Encoded]:
        """Return every pair encoded; each distinct text is tokenised once."""
        sources = self._tokens(0, [pair.prompt for pair in pairs])
        answers = self._tokens(1, [text for pair in pairs for text in (pair.first, pair.second)])
        return [self._join(sources[p.prompt], answers[p.first], answers[p.second]) for p in pairs]

    def candidate_limit(self, source_length: int) -> int:
        """Return the most tokens of an answer beside a source of that length (after truncation)."""
        source, candidate = self._limits
        return candidate + (source - source_length) // 2 if self._spare else candidate

    def source_length(self, prompt: str) -> int:
        """Return the tokens of a prompt with its marker and separators, after truncation."""
        return min(len(self._tokens(0, [prompt])[prompt]), self._limits[0])

    def clean(self, text: str) -> str:
        """Return the text without marker and special tokens; lone surrogates become U+FFFD."""
        for word in self._reserved:
            text = text.replace(word, " ")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _tokens(self, marker: int, texts: Sequence[str]) -> dict[str, list[int]]:
        distinct = list(dict.fromkeys(texts))
        marked = [MARKERS[marker] + self.clean(text) for text in distinct]
        ids = self._tokenizer(marked, truncation=False, verbose=False)["input_ids"] if marked else []
        return dict(zip(distinct, ids, strict=True))

    def _join(self, source: list[int], first: list[int], second: list[int]) -> Encoded:
        source, cut = _cut(source, self._limits[0])
        limit = self.candidate_limit(len(source))
        ids, places = list(source), [source.index(self._markers[0])]
        for answer, marker in ((first, self._markers[1]), (second, self._markers[2])):
            kept, lost = _cut(answer, limit)
            at = kept.index(self._markers[1])
            places.append(len(ids) + at)
            ids += [*kept[:at], marker, *kept[at + 1 :]]
            cut += lost
        return Encoded(ids, (places[0], places[1], places[2]), cut)


def _cut(ids: list[int], limit: int) -> tuple[list[int], int]:
    """Return at most ``limit`` ids with the closing separator, and how many were cut."""
    excess = len(ids) - limit
    return (ids, 0) if excess <= 0 else ([*ids[: limit - 1], ids[-1]], excess)


class NativeRanker:
    """The network itself, on the GPU if there is one."""

    def __init__(self, spec: PairRMSpec) -> None:
        try:
            import torch
            from safetensors.torch import load_file
            from transformers import AutoConfig, AutoTokenizer, DebertaV2Model
        except ImportError as error:
            raise MissingExtraError(str(error.name), "pairrm", "the pairrm judge") from error
        checkpoint = find_checkpoint(spec.model, spec.revision)
        self.encoder = PairEncoder(
            AutoTokenizer.from_pretrained(checkpoint.backbone), checkpoint, spec.truncation
        )
        state = load_file(checkpoint.weights)
        config = AutoConfig.from_pretrained(checkpoint.backbone)
        config.vocab_size = int(state[_EMBEDDINGS].shape[0]) if _EMBEDDINGS in state else config.vocab_size
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._pad = int(config.pad_token_id or 0)
        dtype = getattr(torch, spec.dtype)
        self._network = DebertaV2Model(config).eval()
        self._quick = supported(config)
        self._head = _head(config.hidden_size, state)
        _fill(self._network, "pretrained_model.", state, checkpoint)
        _fill(self._head, "head_layer.", state, checkpoint)
        self._network.to(self._device, dtype)
        self._head.to(self._device, dtype)
        self._rows = spec.batch_size

    def logits(self, pairs: Sequence[PairText]) -> list[PairLogit]:
        """Return the logits in the order of the pairs; pairs of similar length share a batch."""
        encoded = self.encoder.encode(pairs)
        found: list[PairLogit | None] = [None] * len(encoded)
        most = _BATCH_TOKENS_GPU if self._device == "cuda" else _BATCH_TOKENS
        for batch in length_buckets([len(item.ids) for item in encoded], self._rows, most):
            values = self._forward([encoded[i] for i in batch])
            for i, value in zip(batch, values, strict=True):
                found[i] = PairLogit(round(value, _DIGITS), encoded[i].cut)
        return [logit for logit in found if logit is not None]

    def _encode(self, ids: Any, mask: Any) -> Any:
        """Return last hidden states; other forms of DeBERTa use transformers' own method."""
        return encode(self._network, ids, mask) if self._quick else self._network(ids, mask).last_hidden_state

    def _forward(self, batch: Sequence[Encoded]) -> list[float]:
        import torch

        width = max(len(item.ids) for item in batch)
        ids = torch.full((len(batch), width), self._pad)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, item in enumerate(batch):
            ids[row, : len(item.ids)] = torch.tensor(item.ids)
            mask[row, : len(item.ids)] = 1
        with torch.inference_mode():
            states = self._encode(ids.to(self._device), mask.to(self._device))
            places = torch.tensor([item.places for item in batch], device=states.device)
            marks = states.gather(1, places[:, :, None].expand(-1, -1, states.shape[-1]))
            sides = torch.cat([marks[:, :1].expand(-1, 2, -1), marks[:, 1:]], dim=-1)
            scores = self._head(sides).float()
            values: list[float] = (scores[:, 0] - scores[:, 1]).mean(-1).tolist()
        return values


def length_buckets(lengths: Sequence[int], rows: int, tokens: int) -> Iterator[list[int]]:
    """Yield indices by falling length, in batches of at most ``rows`` rows and ``tokens`` padded tokens."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) >= rows or (len(batch) + 1) * lengths[batch[0]] > tokens):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _head(hidden: int, state: dict[str, Any]) -> Any:
    from torch import nn

    last = state.get("head_layer.4.weight")
    tasks = 1 if last is None else int(last.shape[0])
    # Dropouts are inactive here; they keep the layers' indices, which are part of the weights' names.
    layers = (nn.Dropout(), nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Dropout(), nn.Linear(hidden, tasks))
    return nn.Sequential(*layers).eval()


def _fill(module: Any, prefix: str, state: dict[str, Any], checkpoint: Checkpoint) -> None:
    part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(part)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{checkpoint.weights}: does not fit its config ({reason})") from error
