"""Count answers that repeat the reference system's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from aligner_bench.results.facts import Facts
from aligner_bench.results.measures import systems as m
from aligner_bench.results.number import Origin, Published
from aligner_bench.store.tables import Tables, group

_FEW_COPIES = 0.02


class Copies(Published):
    """How many of a system's answers repeat those of the system that it is compared with."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    reference: str = Field(description="the baseline")
    identical: Annotated[int, m.COPIES_IDENTICAL]
    prefix_sharing: Annotated[int, m.COPIES_PREFIX]
    n: Annotated[int, m.COPIES_N]


def copy_rows(tables: Tables, facts: Facts) -> list[Copies]:
    """Screen every comparison for copies of the reference.

    Systems that share an upstream model are left out: they resemble each other without copying.
    """
    from aligner_bench.texts.copies import copy_screen

    found = []
    answers = group(tables["responses"], "suite", "system")
    for suite, (system, reference) in ((s["name"], pair) for s in facts.suites for pair in facts.comparisons):
        ours, theirs = answers.get((suite, system), []), answers.get((suite, reference), [])
        if not ours or not theirs or ours[0]["upstream_model"] == theirs[0]["upstream_model"]:
            continue
        texts = [
            {row["prompt_id"]: row["text"] for row in rows if row["status"] not in ("error", "missing")}
            for rows in (ours, theirs)
        ]
        screen = copy_screen(texts[0], texts[1])
        found.append(
            Copies(
                suite=suite,
                system=system,
                reference=reference,
                identical=screen.identical,
                prefix_sharing=screen.prefix_sharing,
                n=screen.n,
            )
        )
    return found


def copy_warnings(found: Sequence[Copies]) -> list[str]:
    """Write one line per system whose answers repeat the reference's more often than by chance."""
    return [
        f"{row.system} ({row.suite}): {row.identical} of {row.n} answers are identical to those of "
        f"{row.reference}, {row.prefix_sharing} share their first 100 characters with them: "
        "copied, or of the same origin."
        for row in found
        if row.prefix_sharing > _FEW_COPIES * row.n
    ]
