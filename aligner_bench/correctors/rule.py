"""The base of correctors that are a rule: no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aligner_bench.core.types import Answer, ResponseStatus, Services, Step
from aligner_bench.correctors.answers import Item, noted
from aligner_bench.correctors.base import CorrectorSpec


class RuleCorrectorSpec(CorrectorSpec):
    """Rewrite answers by a rule. A subclass declares options and a ``rewrite``."""

    def rewrite(self, text: str, item: Item) -> str:
        """The new answer; ``item`` holds the prompt and, in its trace, the answers before ``text``."""
        raise TypeError(f"{type(self).__name__} does not implement rewrite")

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """The rewritten answers, each with a ``correct`` step; errors stay errors."""
        return [self._applied(item) for item in items]

    def _applied(self, item: Item) -> Answer:
        answer = item.answer
        if answer.status == "error":
            return answer
        text = self.rewrite(answer.text, item)
        whole: ResponseStatus = "truncated" if answer.finish_reason == "length" else "ok"
        changed = replace(answer, text=text, status=whole if text.strip() else "empty")
        return noted(changed, Step(0, self.kind, "correct", text))
