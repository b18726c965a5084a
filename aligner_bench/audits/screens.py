"""Screens of outputs without a judge: constant answers, duplicates, judge-directed text, copied references.

They are independent of win rates and apply to imported results, too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from aligner_bench.store.tables import group
from aligner_bench.texts.copies import copy_screen

if TYPE_CHECKING:
    from aligner_bench.runs import Run

CONSTANT_SHARE, DUPLICATE_SHARE, INJECTION_SHARE, COPY_SHARE = 0.2, 0.2, 0.02, 0.05
MIN_OUTPUTS = 5
"""Minimum number of outputs for testing a share."""
LONG_REFERENCE = 100
"""Minimum length in characters of references for the copy screen; short correct answers may be equal."""
INJECTIONS: Mapping[str, re.Pattern[str]] = {
    "asks to ignore what came before": re.compile(
        r"\b(?:ignore|disregard|forget) (?:all |any )?(?:of )?(?:the |your )?"
        r"(?:above|previous|prior|earlier)\b",
        re.I,
    ),
    "speaks to the judge": re.compile(
        r"\b(?:note|message|attention|instructions?|dear)\b.{0,20}\b(?:evaluator|judge|grader|rater|assessor)s?\b"
        r"|\b(?:evaluator|judge|grader|rater|assessor)s?\b[^.\n]{0,40}\b(?:must|should|please)\b[^.\n]{0,20}"
        r"\b(?:choose|prefer|pick|select|rank|rate|score)\b",
        re.I,
    ),
    "calls itself the winner": re.compile(
        r"\bth(?:is|e present) (?:answer|response|output) (?:is|was|has been|should be)\b[^.\n]{0,30}"
        r"\b(?:the (?:best|better|winner|preferred)|ranked first)\b",
        re.I,
    ),
    "gives a verdict tag": re.compile(r"\[\[(?:[ABCN]|\d{1,2}|tie)\]\]", re.I),
    "imitates the judge's prompt": re.compile(
        r"\"?model_identifier\"?\s*:|^#{1,3} *(?:Model Outputs|Unordered|Best Model|Evaluation)\b"
        r"|<\|(?:im_start|im_end|source|candidate\d?|start_header_id|eot_id)\|>|\[/?INST\]",
        re.I | re.M,
    ),
}


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OutputScreen(_Row):
    """The screen of one system's outputs on one suite. Shares are fractions of the non-empty outputs."""

    suite: str = ""
    system: str = ""
    n: int = Field(description="number of non-empty outputs")
    n_empty: int
    n_distinct: int = Field(description="number of distinct outputs, ignoring case, spacing and digits")
    constant_share: float = Field(description="share of the most frequent output")
    constant_example: str = Field(description="beginning of the most frequent output")
    duplicate_share: float = Field(description="share of outputs that repeat an earlier one")
    injections: dict[str, int] = Field(description="kind of judge-directed text -> number of outputs")
    injection_ids: list[str] = Field(description="at most 20 prompts whose output has such text")
    n_compared: int = Field(description="outputs compared with a sufficiently long reference")
    n_identical: int = Field(description="of these, equal to the reference")
    n_prefix: int = Field(description="of these, sharing the reference's first 100 characters")
    flags: list[str] = Field(description="violated thresholds")


def screen_outputs(
    outputs: Mapping[str, str],
    references: Mapping[str, str] | None = None,
    suite: str = "",
    system: str = "",
) -> OutputScreen:
    """Screen one system's outputs by prompt id, against reference outputs if given."""
    texts = {key: text for key, text in outputs.items() if text.strip()}
    shapes = Counter(_shape(text) for text in texts.values())
    commonest, count = shapes.most_common(1)[0] if shapes else ("", 0)
    found = {key: injection_kinds(text) for key, text in texts.items()}
    kinds = Counter(kind for some in found.values() for kind in some)
    hit = [key for key, some in found.items() if some]
    long = {key: text for key, text in (references or {}).items() if len(text.strip()) >= LONG_REFERENCE}
    copies = copy_screen(texts, long)
    n = len(texts)
    screen = OutputScreen(
        suite=suite,
        system=system,
        n=n,
        n_empty=len(outputs) - n,
        n_distinct=len(shapes),
        constant_share=count / n if n else 0.0,
        constant_example=next((t[:200] for t in texts.values() if _shape(t) == commonest), ""),
        duplicate_share=(n - len(shapes)) / n if n else 0.0,
        injections=dict(sorted(kinds.items())),
        injection_ids=hit[:20],
        n_compared=copies.n,
        n_identical=copies.identical,
        n_prefix=copies.prefix_sharing,
        flags=[],
    )
    screen.flags = _flags(screen, len(hit))
    return screen


def injection_kinds(text: str) -> list[str]:
    """Return the kinds of judge-directed text that a text contains."""
    return [kind for kind, pattern in INJECTIONS.items() if pattern.search(text)]


def _shape(text: str) -> str:
    return re.sub(r"\d+", "0", " ".join(text.casefold().split()))


def _flags(screen: OutputScreen, hit: int) -> list[str]:
    flags = []
    if screen.n >= MIN_OUTPUTS and screen.constant_share > CONSTANT_SHARE:
        flags.append(
            f"constant answer: one text is {100 * screen.constant_share:.0f} % of {screen.n} outputs "
            f"(bound {100 * CONSTANT_SHARE:.0f} %)"
        )
    elif screen.n >= MIN_OUTPUTS and screen.duplicate_share > DUPLICATE_SHARE:
        flags.append(
            f"duplicates: {100 * screen.duplicate_share:.0f} % of {screen.n} outputs repeat an earlier one "
            f"(bound {100 * DUPLICATE_SHARE:.0f} %)"
        )
    if hit and hit > INJECTION_SHARE * screen.n:
        kinds = ", ".join(screen.injections)
        flags.append(
            f"judge-directed text in {hit} of {screen.n} outputs "
            f"(bound {100 * INJECTION_SHARE:.0f} %): {kinds}"
        )
    if screen.n_compared >= MIN_OUTPUTS and screen.n_prefix > COPY_SHARE * screen.n_compared:
        flags.append(
            f"copies of the reference: {screen.n_identical} equal and {screen.n_prefix} with its first 100 "
            f"characters, of {screen.n_compared} (bound {100 * COPY_SHARE:.0f} %)"
        )
    return flags


def screen_run(run: Run) -> list[OutputScreen]:
    """Screen every system of a run on every suite; references include the baselines of other upstreams."""
    responses = run.rows("responses")
    rows = group(responses, "suite", "system")
    baselines = _baselines(run.rows("verdicts"))
    prompts = {(r["suite"], r["prompt_id"]): r["references"] for r in run.rows("prompts")}
    screens = []
    for (suite, system), some in rows.items():
        outputs = {row["prompt_id"]: row["text"] for row in some if row["status"] != "error"}
        references = {key: refs[0] for key in outputs if (refs := prompts.get((suite, key)))}
        for baseline in baselines.get((suite, system), ()):
            others = rows.get((suite, baseline), [])
            if others and others[0]["upstream_model"] != some[0]["upstream_model"]:
                references |= {row["prompt_id"]: row["text"] for row in others}
        screens.append(screen_outputs(outputs, references, suite, system))
    return screens


def _baselines(verdicts: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for suite, candidate, baseline in group(verdicts, "suite", "candidate", "baseline"):
        found.setdefault((suite, candidate), []).append(baseline)
    return found
