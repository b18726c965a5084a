"""Prompt templates of aligners: the form of a template, its slots, and where a template is found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.spec import Spec
from aligner_bench.core.yamlfile import read_yaml, validated

SLOTS = ("question", "answer", "instruction", "history")
SUFFIXES = (".yaml", ".yml")
_BRACES = re.compile(r"\{(\w+)\}")
_FILLED = re.compile(r"\{(question|instruction|history)\}")


class UnknownTemplateError(UsageError):
    """There is no template of this name, or no such file."""


class Template(Spec):
    """Text around a question and an answer: ``before`` and ``after`` the answer, or one ``text``.

    Only the answer is ever shortened, so the filled template is split at it.
    """

    name: str = Field("", description="for people; the file's name where it says nothing")
    before: str = Field("", description="text before the answer, with {question} once")
    after: str = Field("", description="text after the answer")
    text: str = Field("", description="the whole text, with {question} and {answer} once each")
    instruction: str = Field("", description="text of the slot {instruction} where an aligner gives none")
    stop: tuple[str, ...] = Field((), description="strings that end an answer; they are not part of it")
    special_tokens: Literal["keep", "skip"] = Field(
        "skip", description="whether special tokens that the model writes are part of its text"
    )
    chat: bool = Field(False, description="a user turn in the model's chat template, or plain completion")

    @field_validator("before", "after", "text")
    @classmethod
    def _has_its_slots(cls, value: str, info: ValidationInfo) -> str:
        expected = {"before": {"question": 1, "answer": 0}, "after": {"question": 0, "answer": 0}}
        counts = expected.get(str(info.field_name), {"question": 1, "answer": 1})
        for slot, count in counts.items() if value else ():
            found = value.count(f"{{{slot}}}")
            if found != count:
                raise template_fault(f"{{{slot}}} must occur {_times(count)} here; it occurs {_times(found)}")
        for word in _BRACES.findall(value):
            if word not in SLOTS and nearest(word, SLOTS).startswith("did"):
                raise template_fault(f"unknown slot {{{word}}}; {nearest(word, SLOTS)}")
        return value

    @field_validator("instruction")
    @classmethod
    def _has_a_slot(cls, value: str, info: ValidationInfo) -> str:
        texts = [str(info.data[name]) for name in ("before", "after", "text") if name in info.data]
        if value and len(texts) == 3 and not any("{instruction}" in text for text in texts):
            raise template_fault("the template has no slot {instruction}")
        return value

    @field_validator("stop")
    @classmethod
    def _no_empty_stop(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "" in value:
            raise ValueError("an empty string would end every answer at once")
        return value

    @model_validator(mode="after")
    def _in_one_form(self) -> Self:
        if self.text and (self.before or self.after):
            raise ValueError("expected either text, or before and after, not both")
        if not self.text and not self.before:
            raise ValueError("expected before, which holds {question}, or text with {question} and {answer}")
        return self

    def has(self, slot: str) -> bool:
        """Whether the template has a slot of this name."""
        return f"{{{slot}}}" in self._whole()

    def fill(
        self, question: str, history: Sequence[tuple[str, str]] = (), instruction: str | None = None
    ) -> tuple[str, str]:
        """The text before and after the answer. Texts are inserted as they are, never formatted.

        Earlier turns (role, content) that have no slot stand in front of the question.
        """
        turns = conversation(history)
        texts = {
            "question": f"{turns}User: {question}" if turns and not self.has("history") else question,
            "history": turns,
            "instruction": self.instruction if instruction is None else instruction,
        }
        before, _, after = self._whole().partition("{answer}")
        return _filled(before, texts), _filled(after, texts)

    def _whole(self) -> str:
        return self.text or f"{self.before}{{answer}}{self.after}"


def template_fault(message: str) -> PydanticCustomError:
    """A fault of a field whose message says all: what was given, often a long text, is not shown."""
    return PydanticCustomError("template", "{message}", {"message": message})


def conversation(history: Sequence[tuple[str, str]]) -> str:
    """Earlier turns (role, content) as plain text, each on lines of its own; empty without turns."""
    return "".join(f"{role.capitalize()}: {content}\n" for role, content in history)


def template_file(name: str, folder: Path) -> Template:
    """The template in a YAML file, by its path relative to ``folder``.

    Raises UnknownTemplateError where there is none, and UsageError with file, line and field of each fault.
    """
    path = folder / Path(name).expanduser()
    if not path.is_file():
        names = [str(Path(name).with_name(near.name)) for near in path.parent.glob("*.y*ml")]
        hint = nearest(name, names)
        raise UnknownTemplateError(
            f"no such template file; {hint if hint.startswith('did') else f'looked at {path}'}"
        )
    template = validated(Template, read_yaml(path, "a template"))
    return template if template.name else template.model_copy(update={"name": name})


def _times(count: int) -> str:
    return {0: "nowhere", 1: "once"}.get(count, f"{count} times")


def _filled(part: str, texts: dict[str, str]) -> str:
    """The part with its slots replaced, in one pass: braces in what is inserted stay as they are."""
    return _FILLED.sub(lambda slot: texts[slot[1]], part)
