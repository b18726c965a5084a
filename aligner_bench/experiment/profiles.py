"""Prompt profiles: prompt, chat template, limits and stop rules of both sides of a comparison.

``fair`` is the default: each model's own chat template, and the same limits for every system. The others
reproduce the settings of a paper that treated the two sides *differently*, so that its numbers can be
repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aligner_bench.core.errors import nearest
from aligner_bench.core.types import Decoding


class Profile(NamedTuple):
    """``prompt`` contains ``{question}`` once; ``decoding`` None means the experiment's.

    ``aligners`` maps an aligner's prompt template to its decoding, where the experiment sets none.
    """

    words: str
    prompt: str = "{question}"
    chat: bool = True
    decoding: Decoding | None = None
    aligners: Mapping[str, Decoding] = {}

    def fill(self, question: str) -> str:
        """Return an upstream model's prompt. The question is inserted verbatim, never formatted."""
        head, _, tail = self.prompt.partition("{question}")
        return head + question + tail


PROFILES: Mapping[str, Profile] = {
    "fair": Profile("each model's own chat template, and the same limits for every system"),
    # Ngweta et al. 2024, the authors' generation scripts. Their aligners also saw prompts cut to 512 tokens
    # from the right, which removes the separator; this is not repeated: the answer's end is shortened
    # instead.
    "ngweta2024": Profile(
        "one plain prompt without chat templates; upstreams 256 tokens to the first . or ! or \\?, "
        "repetition penalty 2; their aligners 512 tokens to the first full stop, Ji et al.'s 2048 without",
        prompt="Answer the following question: \n\nInput:\n{question}\nResponse:",
        chat=False,
        decoding=Decoding(max_new_tokens=256, stop_after=(".", "!", "\\?"), repetition_penalty=2.0),
        aligners={
            "ngweta": Decoding(max_new_tokens=512, stop_after=(".",)),
            "ji-v1": Decoding(max_new_tokens=2048),
        },
    ),
}
FAIR = PROFILES["fair"]


def with_profile(data: Any) -> Any:
    """Return an experiment's plain data with its profile's decoding inserted, also in each aligner.

    Raises ValueError for an unknown profile, and for ``decoding`` beside a profile that sets it.
    """
    if not isinstance(data, dict) or data.get("profile", "fair") == "fair":
        return data
    name = str(data["profile"])
    if name not in PROFILES:
        raise ValueError(f"profile: unknown profile {name!r}; {nearest(name, PROFILES)}")
    profile = PROFILES[name]
    own = profile.decoding.model_dump(mode="json") if profile.decoding else None
    if own and "decoding" in data and Decoding.model_validate(data["decoding"]) != profile.decoding:
        raise ValueError(f"profile: {name} says how to decode; leave out decoding, or the profile")
    systems = _with_aligner_decoding(data.get("systems"), profile)
    return {**data, **({"decoding": own} if own else {}), "systems": systems}


def _with_aligner_decoding(node: Any, profile: Profile) -> Any:
    """Return the data with the profile's decoding in each aligner that sets none."""
    if isinstance(node, list | tuple):
        return [_with_aligner_decoding(part, profile) for part in node]
    if not isinstance(node, dict):
        return node
    filled = {key: _with_aligner_decoding(value, profile) for key, value in node.items()}
    if node.get("kind") == "aligner" and node.get("decoding") is None:
        limits = profile.aligners.get(str(node.get("template")))
        if limits is not None:
            filled["decoding"] = limits.model_dump(mode="json")
    return filled


def with_token_limit(node: Any, most: int) -> Any:
    """Return the data with every decoding limited to ``most`` new tokens."""
    if isinstance(node, list | tuple):
        return [with_token_limit(part, most) for part in node]
    if not isinstance(node, dict):
        return node
    held = {key: with_token_limit(value, most) for key, value in node.items()}
    limits = held.get("decoding")
    if isinstance(limits, dict):
        held["decoding"] = {**limits, "max_new_tokens": min(limits.get("max_new_tokens", most), most)}
    return held
