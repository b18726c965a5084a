"""The ``rubric`` judge: a model reasons about two answers by a rubric and ends with one tag.

Ji et al. 2024 (arXiv 2402.02416, appendix) judge in this way for helpful, harmless, empathy and summary;
the packaged rubrics ask the same questions in other words. A rubric is a YAML file, so that users can write
their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.hashing import sha256_text
from aligner_bench.core.spec import ModelName, Spec
from aligner_bench.core.types import Completion, Decoding, Pair, Request
from aligner_bench.core.yamlfile import read_yaml, validated
from aligner_bench.judges.base import Fault, Judge, JudgeContext, JudgeSpec
from aligner_bench.judges.prompted import BOTH, Asking, Order, PromptedJudge, Reading, shown

_FOLDER = Path(__file__).parent / "rubrics"
_SLOTS = ("prompt", "answer_a", "answer_b")
_REFERENCES = "references"
_SLOT = re.compile("{(" + "|".join((*_SLOTS, _REFERENCES)) + ")}")
_NO_REFERENCES = "(none are recorded)"


class Tags(Spec):
    """The tags, exactly one of which a reply must hold. Without ``tie`` the judge has to decide."""

    a: str = Field("[[responseA]]", min_length=2, description="names the answer shown first")
    b: str = Field("[[responseB]]", min_length=2, description="names the answer shown second")
    tie: str | None = Field("[[Equal]]", min_length=2, description="neither; null: ties are not allowed")

    def all(self) -> tuple[str, ...]:
        """Return the tags in use."""
        return tuple(tag for tag in (self.a, self.b, self.tie) if tag is not None)


class Rubric(Spec):
    """A rubric: its prompt, the tags that parse the reply, and the decoding."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the rubric")
    description: str = Field("", description="for people")
    system: str = Field("", description="the system turn; empty for none")
    user: str = Field(description="with {prompt}, {answer_a}, {answer_b}, and {references} where wanted")
    tags: Tags = Field(Tags(), description="what the reply must hold exactly one of")
    names: Literal["better", "worse"] = Field("better", description="which answer the tag names")
    decoding: Decoding = Field(
        Decoding(max_new_tokens=1024), description="how the tokens of the reply are chosen"
    )

    @model_validator(mode="after")
    def _demand_and_parser_agree(self) -> Self:
        slots = [match[1] for match in _SLOT.finditer(self.user)]
        for slot in _SLOTS:
            if slots.count(slot) != 1:
                raise ValueError(f"user: expected {{{slot}}} once, found it {slots.count(slot)} times")
        tags = self.tags.all()
        for tag in tags:
            if tag not in self.system + self.user:
                raise ValueError(f"tags: {tag!r} does not occur in system or user")
            if any(tag in other for other in tags if other is not tag):
                raise ValueError(f"tags: {tag!r} is part of another tag")
        return self


def rubric_names() -> list[str]:
    """Return the names of the packaged rubrics."""
    return sorted(file.stem for file in _FOLDER.glob("*.yaml"))


def load_rubric(name: str) -> Rubric:
    """Return a packaged rubric by name, or read a YAML file.

    Raises UsageError with file, line and field.
    """
    is_file = name.endswith((".yaml", ".yml"))
    if not is_file and name not in rubric_names():
        raise UsageError(f"unknown rubric {name!r} (a name or a .yaml file): {nearest(name, rubric_names())}")
    path = Path(name) if is_file else _FOLDER / f"{name}.yaml"
    return validated(Rubric, read_yaml(path, "a rubric"))


class RubricContract:
    """A rubric's prompt and its tags."""

    def __init__(self, rubric: Rubric, decoding: Decoding) -> None:
        self.rubric = rubric
        self._decoding = decoding
        tags = sorted(rubric.tags.all(), key=len, reverse=True)
        self._tag = re.compile("|".join(map(re.escape, tags)))

    def identity(self) -> dict[str, Any]:
        """Return the texts' hash, the tags with their meanings, and decoding."""
        rubric = self.rubric
        return {
            "rubric": rubric.name,
            "prompt": sha256_text(f"{rubric.system}\x00{rubric.user}"),
            "tags": rubric.tags.model_dump(mode="json"),
            "names": rubric.names,
            "decoding": self._decoding.model_dump(mode="json"),
        }

    def orders(self, pair: Pair) -> tuple[Order, ...]:
        """Return both orders."""
        return BOTH

    def request(self, pair: Pair, first: str, second: str) -> Request:
        """Return the request; all slots are filled in one pass, so that no answer is taken for a slot."""
        references = "\n".join(f"- {text}" for text in pair.references) or _NO_REFERENCES
        texts = dict(zip((*_SLOTS, _REFERENCES), (pair.prompt, first, second, references), strict=True))
        filled = _SLOT.sub(lambda match: texts[match[1]], self.rubric.user)
        history = (("system", self.rubric.system.strip()),) if self.rubric.system.strip() else ()
        return Request(filled.strip(), history=history, decoding=self._decoding)

    def read(self, completion: Completion) -> Reading:
        """Return the preference of the reply's one tag, with the reasons as detail."""
        said = shown(completion.text)
        found = self._tag.findall(completion.text)
        if len(found) != 1:
            return Reading(None, "unparsable", f"{len(found)} tags, not one: {said}")
        tags = self.rubric.tags
        if found[0] == tags.tie:
            return Reading(0.5, "tie", said)
        wins = (found[0] == tags.a) == (self.rubric.names == "better")
        return Reading(float(wins), "ok", said)


class RubricSpec(JudgeSpec):
    """Compare two answers by a model that reasons by a rubric and ends with a tag, in both orders."""

    swapped_at_smoke: ClassVar[bool] = True

    rubric: str = Field(description="helpful, harmless, empathy, summary, reliability, or a YAML file")
    model: ModelName = Field(description="a model of this experiment")
    repeats: int = Field(1, ge=1, description="samples an order; more than one needs a temperature above 0")
    temperature: float | None = Field(None, ge=0, description="instead of the rubric's own")
    max_new_tokens: int | None = Field(None, ge=1, description="instead of the rubric's own")
    max_answer_chars: int | None = Field(None, ge=1, description="longer answers are cut, and counted")
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge. Raises UsageError where several samples would all be equal."""
        rubric = load_rubric(self.rubric)
        changed = {"temperature": self.temperature, "max_new_tokens": self.max_new_tokens}
        decoding = rubric.decoding.model_copy(update={k: v for k, v in changed.items() if v is not None})
        if self.repeats > 1 and decoding.temperature == 0:
            raise UsageError(
                "repeats: several samples need a temperature above 0; greedy ones are all the same"
            )
        often = f", {self.repeats} samples an order" if self.repeats > 1 else ""
        return PromptedJudge(
            RubricContract(rubric, decoding),
            Asking("rubric", self.model, self.repeats, self.max_answer_chars),
            f"rubric {rubric.name} with {self.model}, both orders{often}",
            self.audit_pairs,
        )

    def anchored(self, anchor: Callable[[Path], Path]) -> Self:
        """Return the spec with its rubric file resolved by ``anchor``, relative to the experiment file."""
        is_file = self.rubric.endswith((".yaml", ".yml"))
        return self.model_copy(update={"rubric": str(anchor(Path(self.rubric)))}) if is_file else self

    def fault(self, name: str, judges: Mapping[str, JudgeSpec]) -> Fault | None:
        """Return the problem of a missing or invalid rubric."""
        found = super().fault(name, judges)
        return found._replace(field="rubric") if found else None
