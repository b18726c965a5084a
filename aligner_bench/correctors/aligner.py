"""An aligner: one model that rewrites an answer through a prompt template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_serializer,
)

from aligner_bench.core.spec import ModelName
from aligner_bench.core.types import Answer, Decoding, Request, Services, Step
from aligner_bench.correctors.answers import Item, rewritten
from aligner_bench.correctors.base import CorrectorSpec
from aligner_bench.correctors.named_templates import TEMPLATES, get_template
from aligner_bench.correctors.templates import Template, UnknownTemplateError, template_fault


class AlignerSpec(CorrectorSpec):
    """One model that rewrites, through a prompt template."""

    model: ModelName = Field(description="a model of this experiment")
    template: Template = Field(
        TEMPLATES["prompted"], description="name of a template, or a template file: mine.yaml"
    )
    instruction: str | None = Field(
        None, validate_default=True, description="text of the template's slot {instruction}"
    )
    decoding: Decoding | None = Field(None, description="instead of the experiment's, made greedy")

    @field_validator("template", mode="before", json_schema_input_type=str | Template)
    @classmethod
    def _found(cls, value: object, info: ValidationInfo) -> object:
        """A template by its name or file. A faulty file is a UsageError that names its own lines."""
        if not isinstance(value, str):
            return value
        try:
            return get_template(value, (info.context or {}).get("folder"))
        except UnknownTemplateError as error:
            raise template_fault(str(error)) from error

    @field_validator("instruction")
    @classmethod
    def _fits_the_template(cls, value: str | None, info: ValidationInfo) -> str | None:
        template = info.data.get("template")
        if isinstance(template, Template):
            slot = template.has("instruction")
            if value is not None and not slot:
                raise template_fault(f"template {template.name!r} has no slot {{instruction}}")
            if value is None and slot and not template.instruction:
                raise template_fault(
                    f"is missing; template {template.name!r} has no text for its slot {{instruction}}"
                )
        return value

    @field_serializer("template")
    def _by_name(self, template: Template) -> str | dict[str, Any]:
        """A named template as its name; any other with its content, which is thus part of the identity."""
        if TEMPLATES.get(template.name) == template:
            return template.name
        return template.model_dump(mode="json", exclude_defaults=True)

    @model_serializer(mode="wrap")
    def _lean(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """``instruction`` only where it is given: hashes of older experiments stay what they were."""
        data: dict[str, Any] = dump(self)
        return {name: value for name, value in data.items() if name != "instruction" or value is not None}

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """The answers after one call of the model each."""
        answers = [item.answer for item in items]
        live = [i for i, answer in enumerate(answers) if answer.status != "error"]
        requests = [aligner_request(self, items[i], answers[i].text) for i in live]
        if not live:
            return answers
        for i, completion in zip(live, services.complete(self.model, requests), strict=True):
            answers[i] = rewritten(answers[i], completion, Step(0, self.model, "correct", ""))
        return answers


def aligner_request(spec: AlignerSpec, item: Item, text: str) -> Request:
    """The request to rewrite ``text``, the current answer, which need not be the upstream's."""
    template = spec.template
    before, after = template.fill(item.prompt, item.history, spec.instruction)
    limits = spec.decoding or item.decoding.model_copy(update={"temperature": 0.0, "top_p": 1.0, "top_k": 0})
    update: dict[str, Any] = {"stop": tuple(dict.fromkeys((*limits.stop, *template.stop)))}
    if template.special_tokens == "keep":
        update["special_tokens"] = "keep"
    decoding = limits.model_copy(update=update)
    return Request(before, text, after, chat=template.chat, decoding=decoding, item=item.prompt_id)
