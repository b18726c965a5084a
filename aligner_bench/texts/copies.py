"""The reference-copy screen: outputs that repeat the answers they will be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CopyScreen:
    """How many of `n` outputs repeat a reference answer; `identical` ones share their prefix too.

    `ids` holds the prompts whose output shares its prefix with the reference, in the outputs' order;
    `identical_ids` those that equal it.
    """

    identical: int
    prefix_sharing: int
    n: int
    ids: tuple[str, ...]
    identical_ids: tuple[str, ...]


def copy_screen(outputs: Mapping[str, str], references: Mapping[str, str], prefix: int = 100) -> CopyScreen:
    """Compare stripped outputs with stripped references, prompt by prompt.

    Two texts share a prefix if their first `prefix` characters are equal, so shorter texts must be equal as
    a whole. Prompts without a reference are not counted, nor are two blank texts: nothing was copied.
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
