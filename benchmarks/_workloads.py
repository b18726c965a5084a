"""Prompts of the engine measurements, as chat requests and as strings for other harnesses."""

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
5. Be thorough. Give reasons, examples and the steps that somebody would have to take.
6. Keep what is good. Words of the answer that need no change stay as they are, in the same order.
"""
_SHOWN = (
    (
        "Why is the sky blue?",
        "It mirrors the sea.",
        "Sunlight is a mixture of all colours. On its way through the air it meets molecules that are much "
        "smaller than its waves, and these scatter short waves, which are blue, far more than long ones, "
        "which are red. So from every part of the sky mostly blue light reaches the eye. In the evening the "
        "way through the air is longer, most of the blue is lost, and what is left over is orange.",
    ),
    (
        "How do I boil an egg?",
        "Put it into water.",
        "Bring a pot of water to the boil, and lower the egg into it with a spoon so that the shell does "
        "not crack. After six minutes the yolk is still soft, after eight it is firm at its edge, and after "
        "ten it is hard all through. Hold the egg under cold water for a minute, which stops the cooking and "
        "makes the shell easier to take off.",
    ),
    (
        "My friend no longer calls me. What should I do?",
        "Forget about it.",
        "That hurts, and it need not mean that the friendship is over: people fall silent because they are "
        "busy, tired or worried about something of their own. Write a short message that asks how things are "
        "and demands nothing. Suggest something small that you could do together, and name a day. If no "
        "reply comes, wait for a week or two before you ask once more.",
    ),
    (
        "Is it safe to eat bread with mould on it?",
        "Yes, cut it off.",
        "No. What is seen on the crust is only a part of the mould: its threads run through the soft inside, "
        "and some kinds make poisons that baking does not destroy. Throw the whole loaf away.",
    ),
)


AT_LENGTH = " (in at least three hundred words)"


def open_questions(data: Path) -> list[str]:
    """Return questions with long answers from the public data, or generated ones without the data."""
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
    """Return the prefix of workload C: about 600 tokens of principles and demonstrations."""
    shown = [f"Question: {q}\nAnswer: {weak}\nMended: {mended}\n" for q, weak, mended in _SHOWN]
    return PRINCIPLES + "\n" + "\n".join(shown) + "\n"


def as_corrections(questions: Sequence[str]) -> list[str]:
    """Return workload C: each question with a short answer, after the shared prefix."""
    begin = shared_beginning()
    return [
        f"{begin}Question: {question}\nAnswer: I do not know.\nMended:{AT_LENGTH}" for question in questions
    ]


def rendered(questions: Sequence[str], tokenizer: Any) -> list[str]:
    """Return the questions as rendered chat turns, for harnesses without chat templates."""
    turns = [[{"role": "user", "content": question}] for question in questions]
    return [tokenizer.apply_chat_template(t, tokenize=False, add_generation_prompt=True) for t in turns]
