"""The suite definition file: what its YAML may say."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from aligner_bench.core.spec import Spec

Format = Literal["jsonl", "json", "csv", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
COMMIT = re.compile(r"[0-9a-f]{40}")
# The hub's own conversion of a data set to Parquet lives under this reference, which has no fixed commit.
PARQUET_REF = "refs/convert/parquet"


def _as_column(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


def _as_list(value: object) -> object:
    return value if value is None or isinstance(value, list) else [value]


class Column(Spec):
    """Where one field comes from: a column, a constant, or a template over the row's columns.

    A template may name columns as `{topic}`, the row number as `{row:04d}` (from 0, rows that `where` left
    out not counted) and `{text_hash}`, 12 hexadecimal digits of the SHA-256 of the prompt's text.
    """

    column: str | None = Field(None, description="name of the column")
    const: str | None = Field(None, description="the same text for every row")
    template: str | None = Field(None, description="text with {columns}, {row} and {text_hash} filled in")
    split: str | None = Field(None, min_length=1, description="separator of several values in one text")
    replace: dict[str, str] = Field({}, description="text -> text that takes its place")
    optional: bool = Field(False, description="rows may lack the column")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("column", "const", "template") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("needs exactly one of column, const, template")
        return self


ColumnField = Annotated[Column, BeforeValidator(_as_column, json_schema_input_type=Column | str)]
ColumnList = Annotated[
    list[ColumnField], BeforeValidator(_as_list, json_schema_input_type=list[ColumnField] | ColumnField)
]


class Columns(Spec):
    """The column of each field of a prompt; fields left out are guessed (id, text, category) or empty."""

    prompt_id: ColumnField | None = Field(None, description="the prompt's id; left out, a hash of its text")
    text: ColumnField | None = Field(None, description="the prompt")
    category: ColumnField | None = Field(None, description="the prompt's category")
    criterion: ColumnField | None = Field(None, description="what a good answer is judged by")
    family: ColumnField | None = Field(None, description="group of prompts that are variants of one")
    references: ColumnList | None = Field(None, description="right answers")
    incorrect: ColumnList | None = Field(None, description="wrong answers")
    history: ColumnField | None = Field(None, description="earlier turns: a list of role and content")

    def over(self, base: Columns) -> Columns:
        """These columns where given, those of `base` elsewhere."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return base.model_copy(update=own)


class Match(Spec):
    """A condition on a column: a regular expression found in its text."""

    matches: str = Field(description="a regular expression, found anywhere in the text")


class Part(Spec):
    """One file (or hub config and split) of a source that has several."""

    path: str | None = Field(
        None, description="the file: beside the definition, in the data folder, or on the hub"
    )
    config: str | None = Field(None, description="configuration of the hub data set")
    split: str | None = Field(None, description="split of the hub data set")
    columns: Columns = Field(Columns(), description="which column holds what")


class Source(Part):
    """One place to get the rows from; the sources of a suite are tried in order.

    `packaged` lies beside the definition, `local` under the data folder, `hub` on the Hugging Face hub:
    either a `split` (and `config`) for `datasets.load_dataset`, or a `path` to one file in the repository.
    """

    kind: Literal["packaged", "local", "hub"] = Field(description="where the rows lie")
    dataset: str | None = Field(None, description="hub name of the data set")
    revision: str | None = Field(None, description="commit of the data set: 40 hexadecimal digits")
    format: Format | None = Field(None, description="format of the file, where its suffix does not say it")
    where: dict[str, str | int | Match] = Field({}, description="column -> value that rows must have")
    parts: list[Part] = Field([], description="several files read as one source")
    expected_rows: int | None = Field(None, ge=1, description="number of rows; another number is an error")
    content_hash: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the prompts; another one is an error"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "hub":
            self._check_hub()
        elif any(part.path is None for part in self.all_parts()):
            raise ValueError(f"a {self.kind} source needs a path")
        return self

    def _check_hub(self) -> None:
        if self.dataset is None:
            raise ValueError("a hub source needs a dataset")
        if any((part.path is None) == (part.split is None) for part in self.all_parts()):
            raise ValueError("a hub source needs either a split or a path")
        if self.revision is not None and self.revision != PARQUET_REF and not COMMIT.fullmatch(self.revision):
            raise ValueError("revision must be a commit of 40 hexadecimal digits, not a branch or a tag")

    def all_parts(self) -> list[Part]:
        """The parts, with the source's own columns under theirs; the source itself where it has none."""
        if not self.parts:
            return [self]
        return [part.model_copy(update={"columns": part.columns.over(self.columns)}) for part in self.parts]


class Sample(Spec):
    """`python_random_sample`: what `random.seed(seed); random.sample(data, n)` gives, rows in id order."""

    method: Literal["python_random_sample"] = Field(description="how the rows are drawn")
    seed: int = Field(description="seed of the generator")
    n: int = Field(ge=1, description="number of rows")


class Subset(Spec):
    """A named part of the suite; `approximate` where a published subset cannot be rebuilt exactly."""

    ids: list[str] | None = Field(None, description="ids of its prompts")
    categories: list[str | int] | None = Field(None, description="only prompts of these categories")
    criteria: list[str] | None = Field(None, description="only prompts of these criteria")
    sample: Sample | None = Field(None, description="a seeded sample of what the other fields leave")
    approximate: bool = Field(False, description="a published subset that cannot be rebuilt exactly")
    note: str = Field("", description="for people: where it comes from")
    expected_rows: int | None = Field(None, ge=1, description="number of rows; another number is an error")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.ids, self.categories, self.criteria, self.sample)):
            raise ValueError("needs ids, categories, criteria or sample")
        return self


class SuiteSpec(Spec):
    """A whole definition. `categories` is a list of names or a map from the data's value to a name."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the suite")
    version: Annotated[str, Field(coerce_numbers_to_str=True, min_length=1)] = Field(
        description="changes where prompts change", json_schema_extra={"type": ["string", "number"]}
    )
    licence: str = Field(description="licence of the prompts")
    description: str = Field("", description="for people")
    categories: list[str] | dict[str | int, str] = Field(
        [], description="categories in order; or value of the column -> category"
    )
    relevant: list[str | int] = Field([], description="categories that charts show first")
    criterion: str | None = Field(
        None, description="what a good answer is judged by, where no column says it"
    )
    sources: list[Source] = Field(min_length=1, description="where the rows are; the first that can be had")
    subsets: dict[str, Subset] = Field({}, description="named parts of the suite")

    @model_validator(mode="after")
    def _categories_known(self) -> Self:
        for name in self.relevant:
            self._known(name, "relevant")
        for key, subset in self.subsets.items():
            for name in subset.categories or []:
                self._known(name, f"subset {key!r}")
        return self

    def _known(self, name: str | int, where: str) -> None:
        if str(name) not in self.category_names():
            raise ValueError(f"{where} names the category {name!r}, which is not among the categories")

    def category_names(self) -> dict[str, str]:
        """Every accepted spelling of a category (the data's value, the name) to its name."""
        if isinstance(self.categories, list):
            return {name: name for name in self.categories}
        by_value = {str(value): name for value, name in self.categories.items()}
        return {name: name for name in by_value.values()} | by_value

    def category_order(self) -> tuple[str, ...]:
        """The names in declared order."""
        names = self.categories if isinstance(self.categories, list) else self.categories.values()
        return tuple(dict.fromkeys(names))
