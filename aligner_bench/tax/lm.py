"""Expose a system as an lm-eval model that generates answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.types import Decoding

_NEW_TOKENS = 256


class Question(NamedTuple):
    """A task's question; ``item`` identifies it among the recorded outputs of a replayed model."""

    item: str
    text: str
    decoding: Decoding


Answerer = Callable[[Sequence[Question]], list[str]]


def make_lm(answer: Answerer) -> Any:
    """Return an ``lm_eval`` model that calls ``answer``. Only generation tasks are supported."""
    from lm_eval.api.model import LM

    class System(LM):  # type: ignore[misc]
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            return answer([_question(request) for request in requests])

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            raise _cannot_score()

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            raise _cannot_score()

    return System()


def _cannot_score() -> UsageError:
    return UsageError(
        "tax: this task scores given continuations by their probability; an aligner rewrites answers, so "
        "only generation tasks (output_type: generate_until) are supported"
    )


def _question(request: Any) -> Question:
    context, options = request.args
    until = options.get("until") or []
    decoding = Decoding(
        max_new_tokens=int(options.get("max_gen_toks") or _NEW_TOKENS),
        stop=tuple([until] if isinstance(until, str) else until),
    )
    item = request.doc.get("prompt_id") or f"{request.task_name}/{request.doc_id}"
    return Question(str(item), context, decoding)


def check_installed() -> str:
    """Return the version of lm-eval; MissingExtraError if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lm-eval")
    except PackageNotFoundError:
        raise MissingExtraError("lm-eval", "lm-eval", "tax") from None
