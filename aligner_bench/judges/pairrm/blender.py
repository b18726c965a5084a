"""The pair ranker through the authors' package, llm-blender 0.0.2: slower, kept as a reference."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Sequence
from typing import Any

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.types import PairLogit, PairText
from aligner_bench.judges.pairrm.checkpoint import find_checkpoint
from aligner_bench.judges.pairrm.network import PairEncoder
from aligner_bench.judges.pairrm.spec import PairRMSpec

_DIGITS = 5


def load_blender(spec: PairRMSpec, device: str) -> Any:
    """Return a ``Blender`` with the spec's ranker loaded; restores two names that transformers 5 removed."""
    try:
        import transformers.utils.hub
        from huggingface_hub.constants import HF_HUB_CACHE
        from transformers import PreTrainedTokenizerBase
    except ImportError as error:
        raise MissingExtraError(str(error.name), "llm-blender", "backend llm_blender") from error
    if not hasattr(transformers.utils.hub, "TRANSFORMERS_CACHE"):
        transformers.utils.hub.TRANSFORMERS_CACHE = HF_HUB_CACHE
    if not hasattr(PreTrainedTokenizerBase, "batch_encode_plus"):
        PreTrainedTokenizerBase.batch_encode_plus = lambda self, *args, **kwargs: self(*args, **kwargs)
    checkpoint = find_checkpoint(spec.model, spec.revision)
    if checkpoint.hf_format:
        raise UsageError(f"{checkpoint.folder}: backend llm_blender reads llm-blender/PairRM, not PairRM-hf")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import llm_blender

            blender = llm_blender.Blender()
            blender.loadranker(str(checkpoint.folder), device=device, model_name=str(checkpoint.backbone))
    except ImportError as error:
        raise MissingExtraError(str(error.name), "llm-blender", "backend llm_blender") from error
    finally:
        logging.disable(before)
    return blender


class BlenderRanker:
    """Computes one pair per call, so that the package's cut of long answers cannot depend on other pairs."""

    def __init__(self, spec: PairRMSpec) -> None:
        import torch

        if spec.dtype != "float32":
            raise UsageError("backend llm_blender computes in float32; leave dtype out")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self.blender = load_blender(spec, self._device)
        checkpoint = find_checkpoint(spec.model, spec.revision)
        tokenizer = copy.deepcopy(self.blender.ranker_tokenizer)
        self._encoder = PairEncoder(tokenizer, checkpoint, spec.truncation)
        self._source_tokens = checkpoint.source_tokens

    def logits(self, pairs: Sequence[PairText]) -> list[PairLogit]:
        """Return the logits in the order of the pairs."""
        cuts = [item.cut for item in self._encoder.encode(pairs)]
        return [PairLogit(self._logit(pair), cut) for pair, cut in zip(pairs, cuts, strict=True)]

    def _logit(self, pair: PairText) -> float:
        import torch

        prompt, first, second = map(self._encoder.clean, pair)
        collator = copy.copy(self.blender.ranker_collator)
        # The collator adds half of the source's unused room to an answer; rule `fixed` removes it.
        length = self._encoder.source_length(pair.prompt)
        collator.source_maxlength = self._source_tokens
        collator.candidate_maxlength = (
            self._encoder.candidate_limit(length) - (self._source_tokens - length) // 2
        )
        batch = collator([{"source": prompt, "candidates": [first, second]}])
        tensors = {name: value.to(self._device) for name, value in batch.items() if value is not None}
        ids, mask = tensors["candidate_ids"], tensors["candidate_attention_mask"]
        with torch.inference_mode():
            result = self.blender.ranker._forward(
                tensors["source_ids"],
                tensors["source_attention_mask"],
                ids[:, 0],
                mask[:, 0],
                ids[:, 1],
                mask[:, 1],
            )
        return round(float(result["logits"][0]), _DIGITS)
