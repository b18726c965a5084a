"""Reference-copy screen: find outputs that repeat the reference answers they are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CopyScreen:
    """Number of `n` outputs that repeat a reference answer; `prefix_sharing` includes `identical`.

    `ids` are the prompts whose output shares its prefix with the reference, in the order of the outputs;
    `identical_ids` those whose output equals it.
    """

    identical: int
    prefix_sharing: int
    n: int
    ids: tuple[str, ...]
    identical_ids: tuple[str, ...]


def copy_screen(outputs: Mapping[str, str], references: Mapping[str, str], prefix: int = 100) -> CopyScreen:
    """Compare stripped outputs with stripped references, prompt by prompt.

    Two texts share a prefix if their first `prefix` characters are equal; shorter texts must be equal.
    Prompts without a reference and blank outputs are not counted. ValueError if `prefix` is below 1.
    """
    if prefix < 1:
        raise ValueError(f"a prefix must have at least 1 character, not {prefix}")
    sharing: list[str] = []
    identical: list[str] = []
    compared = [key for key in outputs if key in references]
    for key in compared:
        output, reference = outputs[key].strip(), references[key].strip()
        if output and output[:prefix] == reference[:prefix]:
            sharing.append(key)
            if output == reference:
                identical.append(key)
    return CopyScreen(len(identical), len(sharing), len(compared), tuple(sharing), tuple(identical))
