"""Compute word differences between two answers as lengths, so that a page stores each text once."""

from __future__ import annotations

import re
from typing import NamedTuple

# Scripts written without spaces are compared letter by letter, all others by word.
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|\s+|[^\w\s]")
_MOST_CELLS = 400_000_000  # words x words; above this the differing middle is shown as one replacement


class Run(NamedTuple):
    """Words that both texts have, then words only the old one has, then words only the new one has."""

    kept: list[str]
    removed: list[str]
    added: list[str]


def words(text: str) -> list[str]:
    """Split a text into words, punctuation marks and runs of white space; joined they give the text."""
    return _WORDS.findall(text)


def word_diff(old: str, new: str) -> list[Run]:
    """Find a shortest edit script from old to new in words, with changes that only a space divides joined."""
    before, after = words(old), words(new)
    return _joined(_runs(before, after, _opcodes(before, after)))


def _opcodes(before: list[str], after: list[str]) -> list[tuple[str, int, int, int, int]]:
    """Edit operations (tag, old start, old end, new start, new end) of a longest common subsequence."""
    if len(before) * len(after) > _MOST_CELLS:
        return _coarse(before, after)
    from rapidfuzz.distance import Indel

    numbers: dict[str, int] = {}
    left = [numbers.setdefault(word, len(numbers)) for word in before]
    right = [numbers.setdefault(word, len(numbers)) for word in after]
    return [
        (op.tag, op.src_start, op.src_end, op.dest_start, op.dest_end) for op in Indel.opcodes(left, right)
    ]


def _coarse(before: list[str], after: list[str]) -> list[tuple[str, int, int, int, int]]:
    """Common start, one replacement, common end."""
    most = min(len(before), len(after))
    start = next((i for i in range(most) if before[i] != after[i]), most)
    end = next((i for i in range(most - start) if before[-1 - i] != after[-1 - i]), most - start)
    left, right = len(before) - end, len(after) - end
    return [
        ("equal", 0, start, 0, start),
        ("delete", start, left, start, start),
        ("insert", left, left, start, right),
        ("equal", left, len(before), right, len(after)),
    ]


def _runs(before: list[str], after: list[str], opcodes: list[tuple[str, int, int, int, int]]) -> list[Run]:
    runs = [Run([], [], [])]
    for tag, i1, i2, j1, j2 in opcodes:
        if tag == "equal":
            runs.append(Run(before[i1:i2], [], []))
        else:
            runs[-1].removed.extend(before[i1:i2])
            runs[-1].added.extend(after[j1:j2])
    return [run for run in runs if any(run)]


def _joined(runs: list[Run]) -> list[Run]:
    """Runs whose kept part is only white space between two changes go into the change before them."""
    result: list[Run] = []
    for run in runs:
        last = result[-1] if result else None
        changes = bool(run.removed or run.added)
        if last and (last.removed or last.added) and changes and not "".join(run.kept).strip():
            last.removed.extend(run.kept + run.removed)
            last.added.extend(run.kept + run.added)
        else:
            result.append(run)
    return result


def _units(tokens: list[str]) -> int:
    """Length in UTF-16 code units, in which browsers count."""
    return len("".join(tokens).encode("utf-16-le", "surrogatepass")) // 2


def lengths(old: str, new: str) -> list[int]:
    """Encode the difference as a flat list kept, removed, added, kept, ... in UTF-16 code units.

    ``removed`` characters are read from old, ``kept`` and ``added`` from new; both texts are used up exactly.
    """
    return [_units(part) for run in word_diff(old, new) for part in run]
