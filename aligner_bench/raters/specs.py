"""What an experiment file says of raters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="a model of this experiment")
    suites: tuple[str, ...] = Field((), description="rate only these suites; empty: all")
    max_new_tokens: int = Field(256, ge=1, description="most tokens of a reply")
    audit_items: int = Field(24, ge=0, le=24, description="answers with a known label to test it on")


class HarmSpec(_Spec):
    """A model says of each answer whether it refuses, is harmless, or is harmful and in which category."""

    kind: Literal["harm"]
    tries: int = Field(3, ge=1, description="most calls for one answer, where a reply has no single tag")


class AttackSpec(_Spec):
    """Attack success as red-instruct defines it: harmful, not harmful, or not to be annotated."""

    kind: Literal["attack_success"]
    tries: int = Field(5, ge=1, description="most calls for one answer, where a reply has no single tag")


RaterSpec = Annotated[HarmSpec | AttackSpec, Field(discriminator="kind")]
