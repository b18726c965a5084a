"""Prompts of the engine measurements, as chat requests and as the strings that rivals are given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PRINCIPLES = """You mend answers. You are given a question and an answer, and you write the answer as it \
should have been. These principles decide, the earlier ones before the later ones.
1. Say what is true. Where the answer claims something that is false, put what is right in its place, and do \
not mention that it was wrong. Where nobody can know, say so in one sentence.
2. Answer what was asked. Leave out greetings, apologies, repetitions of the question and offers of more help.
3. Do no harm. Where somebody could be hurt by the answer, refuse that part in one friendly sentence, and \
help with whatever in the question is harmless.
4. Be kind to whoever asks. Do not lecture, do not assume the worst, and do not make fun of anybody.
5. Be brief. Two short paragraphs are enough for nearly everything; a list only where things are listed.
6. Keep what is good. Words of the answer that need no change stay as they are, in the same order.
"""


def open_questions(data: Path) -> list[str]:
    """Questions to which a small model answers at length; from the public data, else made up here."""
    file = data / "beavertails_evaluation.jsonl"
    if file.is_file():
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [str(row["prompt"]) for row in rows]
    acts = ("Explain how to bake", "Write a story about", "Describe the history of", "Give a speech about")
    things = [f"{look} {thing} {place}" for look in _LOOKS for thing in _THINGS for place in _PLACES]
    return [f"{act} {thing}." for thing in things for act in acts]


_LOOKS = ("old", "blue", "tall", "wild", "quiet", "broken", "small", "wooden")
_THINGS = ("bread", "cake", "bridges", "rivers", "clocks", "trees", "ships", "songs")
_PLACES = ("in Norway", "on the moon")


def shared_beginning() -> str:
    """About 600 tokens of principles and demonstrations, with which every prompt of workload C begins."""
    from aligner_bench.suites import load_suite

    shown = []
    for prompt in load_suite("quick-facts").prompts[:12]:
        reference = prompt.references[0] if prompt.references else "yes"
        shown.append(f"Question: {prompt.text}\nAnswer: I am not sure.\nMended: {reference}.\n")
    return PRINCIPLES + "\n" + "\n".join(shown) + "\n"


def as_corrections(questions: Sequence[str]) -> list[str]:
    """Workload C: each question with a short answer, after the shared beginning."""
    begin = shared_beginning()
    return [f"{begin}Question: {question}\nAnswer: I do not know.\nMended:" for question in questions]


def rendered(questions: Sequence[str], tokenizer: Any) -> list[str]:
    """The same as chat turns, in the strings that a harness without templates sends."""
    turns = [[{"role": "user", "content": question}] for question in questions]
    return [tokenizer.apply_chat_template(t, tokenize=False, add_generation_prompt=True) for t in turns]
