"""Write ``docs/numbers.md``: every published number, from the list of measures.

``python -m aligner_bench.results.numbers_page [FILE]`` writes the page to FILE, or prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aligner_bench.results.measure import Measure
from aligner_bench.results.measures import METRICS, SUBJECTS
from aligner_bench.results.places import published_at

_INTRO = """# Numbers

Every number that a run publishes. This page is generated from `aligner_bench/results/measures/` by
`python -m aligner_bench.results.numbers_page docs/numbers.md`, and a test compares the two. *Made by* is the
call that `verify --claims` lists; *fields* are those of `leaderboard.json`. Shares, preferences and scores
are fractions from 0 to 1. ↑: more is better, ↓: less is better. Numbers with ⇄ have one value per prompt,
which `compare` and `gate` pair between two runs under that name.
"""
_TITLES = {
    "comparisons": "Comparisons: one system against another, by a judge",
    "systems": "Systems: answers, repair and damage, refusals, harm, cost",
    "traces": "Correctors: scores, steps and rewrites",
    "judges": "Judges, raters and inspectors",
}
_HEADS = ("name", "definition", "unit", "made by", "source", "fields")
_ARROWS = {1: " ↑", 0: "", -1: " ↓"}


def page() -> str:
    """Render the page as Markdown."""
    places = published_at()
    parts = [_INTRO]
    for subject, measures in SUBJECTS.items():
        parts.append(f"## {_TITLES[subject]}\n")
        parts.append("\n".join(_table(measures, places)) + "\n")
    return "\n".join(parts)


def _table(measures: Sequence[Measure], places: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield _line(_HEADS)
    yield _line(["---"] * len(_HEADS))
    for measure in measures:
        paired = " ⇄" if measure.name in METRICS else ""
        fields = (
            ", ".join(f"`{place}`" for place in places.get(measure.name, ())) or "not in `leaderboard.json`"
        )
        yield _line(
            [
                f"`{measure.name}`{_ARROWS[measure.better]}{paired}",
                measure.definition,
                measure.unit,
                f"`{measure.query}`",
                measure.source,
                fields,
            ]
        )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: Sequence[str]) -> None:
    """Write the page to the named file, or print it."""
    if arguments:
        Path(arguments[0]).write_text(page(), "utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main(sys.argv[1:])
