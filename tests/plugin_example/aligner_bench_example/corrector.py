"""Remove a phrase from answers."""

from pydantic import Field

from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.rule import RuleCorrectorSpec


class StripPhraseSpec(RuleCorrectorSpec):
    """Remove every occurrence of a phrase from the answer."""

    phrase: str = Field(min_length=1, description="the text to remove, exactly as it is written")

    def rewrite(self, text: str, item: Item) -> str:
        """The answer without the phrase; white space at its ends is stripped."""
        return text.replace(self.phrase, "").strip()
