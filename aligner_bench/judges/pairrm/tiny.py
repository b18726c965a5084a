"""A tiny pair ranker in the format of ``llm-blender/PairRM``, with random weights.

It replaces the real one where that is unavailable (offline, smoke scale, tests): the code that loads and
runs it is the same, its verdicts have no meaning. It must never be shown under the name PairRM.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from aligner_bench.core.cache import cache_dir
from aligner_bench.core.files import atomic_folder
from aligner_bench.inspectors.base import PACKAGED, packaged_pairs
from aligner_bench.judges.pairrm.spec import TINY_RANKER

MARKERS = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
_VERSION = 1
_WORDS = 2000


def tiny_ranker() -> Path:
    """Return the folder of the stand-in checkpoint, written into the cache on first use (about 1 s)."""
    target = cache_dir() / "models" / f"{TINY_RANKER}-{_VERSION}"
    if not target.exists():
        with atomic_folder(target) as draft:
            write_tiny_ranker(draft, backbone="backbone")
    return target


def write_tiny_ranker(folder: Path, backbone: str | None = None, seed: int = 0, width: int = 64) -> Path:
    """Write a checkpoint (``config.json``, ``model.safetensors``, folder ``backbone``); return its folder.

    ``backbone`` is the backbone that the config names: by default the absolute path, as the llm-blender
    package requires; a relative name is resolved inside the checkpoint, and the folder can then be moved.
    """
    import torch
    from safetensors.torch import save_file

    inner = folder / "backbone"
    inner.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, head = _random_weights(inner, width)
    state = {f"pretrained_model.{name}": value for name, value in model.state_dict().items()}
    state |= {f"head_layer.{name}": value for name, value in head.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
    config = {
        "ranker_type": "pairranker",
        "model_type": "deberta-v3",
        "model_name": backbone or str(inner.resolve()),
        "source_maxlength": 1224,
        "candidate_maxlength": 412,
        "n_tasks": 1,
        "drop_out": 0.05,
        "fp16": False,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return folder


def write_tiny_hf_ranker(source: Path, folder: Path) -> Path:
    """Write the same weights in the format of ``PairRM-hf``; return the folder.

    The format is a DeBERTa config with marker ids and its own tokenizer.
    """
    from transformers import AutoTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "model.safetensors", folder / "model.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(source / "backbone")
    tokenizer.add_tokens(list(MARKERS))
    tokenizer.save_pretrained(folder)
    ids = dict(
        zip(("source", "cand1", "cand2", "cand"), tokenizer.convert_tokens_to_ids(list(MARKERS)), strict=True)
    )
    config = json.loads((source / "backbone" / "config.json").read_text("utf-8"))
    config |= {f"{name}_prefix_id": value for name, value in ids.items()}
    config |= {
        "n_tasks": 1,
        "drop_out": 0.05,
        "sep_token_id": tokenizer.sep_token_id,
        "vocab_size": len(tokenizer),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return folder


def _random_weights(backbone: Path, width: int) -> tuple[Any, Any]:
    """Return a DeBERTa-v2 of two layers and its head; save the backbone and its tokenizer."""
    from torch import nn
    from transformers import DebertaV2Config, DebertaV2Model

    tokenizer = _tokenizer()
    tokenizer.save_pretrained(backbone)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        relative_attention=True,
        position_buckets=64,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        max_position_embeddings=512,
        type_vocab_size=0,
        pad_token_id=0,
        # Wider than the usual 0.02, so that two random layers distinguish texts and orders.
        initializer_range=0.4,
    )
    model = DebertaV2Model(config).eval()
    model.save_pretrained(backbone)
    model.resize_token_embeddings(len(tokenizer) + len(MARKERS), mean_resizing=False)
    head = nn.Sequential(
        nn.Dropout(0.05), nn.Linear(2 * width, width), nn.Tanh(), nn.Dropout(0.05), nn.Linear(width, 1)
    )
    return model, head


def _tokenizer() -> Any:
    """Return a Unigram tokenizer of the packaged pairs' words and characters, weighted by frequency."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    texts = [
        text for c in PACKAGED for p in packaged_pairs(c, "train") for text in (p.prompt, p.worse, p.better)
    ]
    words = Counter("▁" + word for text in texts for word in text.split())
    signs = Counter(sign for text in texts for sign in text if not sign.isspace())
    signs.update({chr(code): 1 for code in range(33, 127)} | {"▁": 1})
    total = sum(words.values()) + sum(signs.values())
    known = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:_WORDS]
    pieces = [(name, 0.0) for name in SPECIAL]
    pieces += [(word, math.log(count / total)) for word, count in known]
    pieces += [(sign, math.log(signs[sign] / total) - 8) for sign in sorted(signs)]
    raw = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("[UNK]")))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",  # noqa: S106 - not a password
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        model_max_length=2**20,
    )
