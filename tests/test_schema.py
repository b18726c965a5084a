"""The JSON Schemas accept what the loaders accept, and reject the typos that the loaders reject."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from typer.testing import CliRunner

from aligner_bench.cli.main import app
from aligner_bench.cli.schema import What, schema_of
from aligner_bench.core.errors import UsageError
from aligner_bench.core.registry import Kind
from aligner_bench.core.types import Decoding
from aligner_bench.engines.costs import PriceSpec
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.gate.policy import Policy, read_policy
from aligner_bench.inspectors.base import InspectorSpec
from aligner_bench.judges.rubric import Rubric, load_rubric
from aligner_bench.papers.spec import PaperSpec
from aligner_bench.suites.load import read_spec
from aligner_bench.suites.spec import SuiteSpec
from tests.conftest import ROOT

FOLDERS = {"experiment": "experiments", "suite": "suites", "rubric": "aligner_bench/judges/rubrics"}
LOADERS = {
    "experiment": Experiment.load,
    "suite": read_spec,
    "rubric": lambda path: load_rubric(str(path)),
    "gate-policy": read_policy,
}
PACKAGED = [
    (kind, path) for kind, folder in FOLDERS.items() for path in sorted((ROOT / folder).glob("*.yaml"))
]
MISSING = object()

HF = {"engine": "hf", "model": "smollm2-135m-instruct"}
ALIGNER = {"kind": "aligner", "model": "small"}
BASES: dict[str, dict[str, Any]] = {
    "experiment": {
        "name": "mine",
        "suites": ["quick-facts"],
        "models": {"small": HF},
        "inspectors": {"helpful": {"model": "packaged:helpful"}},
        "systems": {"base": {"upstream": "small"}, "corrected": {"upstream": "small", "corrector": ALIGNER}},
        "judges": {"facts": {"kind": "reference"}},
    },
    "suite": {
        "name": "mine",
        "version": "1",
        "licence": "Apache-2.0",
        "sources": [{"kind": "packaged", "path": "mine.jsonl", "columns": {"text": "prompt"}}],
    },
    "rubric": {
        "name": "mine",
        "user": "{prompt} {answer_a} {answer_b} [[responseA]] [[responseB]] [[Equal]]",
    },
    "gate-policy": {"margin": 3, "rules": [{"metrics": ["accuracy"]}]},
}
SQUAD = {"kind": "squad", "members": {"h": {"inspector": "helpful", "aligner": ALIGNER}}}
PARALLEL = {
    "kind": "parallel",
    "correctors": {"one": ALIGNER, "two": {"kind": "chain", "correctors": [ALIGNER, SQUAD]}},
    "pick": {"by": "mean", "inspectors": ["helpful"]},
}
CORRECTOR = ("systems", "corrected", "corrector")
COLUMNS = ("sources", 0, "columns")
RULE = ("rules", 0)
Edit = tuple[str, tuple[str | int, ...], Any]

ACCEPTED: list[Edit] = [
    *((kind, (), None) for kind in What),
    ("experiment", ("suites",), ["quick-facts", "synthetic-3h:helpful", {"name": "quick-facts", "limit": 3}]),
    ("experiment", ("suites", 0), {"kind": "named", "name": "quick-facts", "subset": None}),
    ("experiment", ("systems", "base"), {"kind": "upstream", "upstream": "small"}),
    ("experiment", ("profile",), "ngweta2024"),
    ("experiment", ("stand_ins",), {"suites": ["quick-facts"], "judges": {"facts": {"kind": "reference"}}}),
    ("experiment", CORRECTOR, PARALLEL),
    (
        "experiment",
        CORRECTOR,
        {**PARALLEL, "pick": {"by": "judge", "judge": {"kind": "logprob", "model": "small"}}},
    ),
    ("experiment", ("prices",), {"small": {"input": 0.1, "output": 1}}),
    ("suite", ("version",), 2),
    ("suite", ("version",), 1.5),
    ("suite", ("categories",), {1: "facts", "two": "others"}),
    ("suite", (*COLUMNS, "category"), {"const": "all"}),
    ("suite", (*COLUMNS, "references"), "answer"),
    ("suite", (*COLUMNS, "references"), {"column": "answers", "split": ";"}),
    ("suite", (*COLUMNS, "references"), ["best", {"column": "others", "optional": True}]),
    ("suite", (*COLUMNS, "references"), None),
    ("suite", ("sources", 0, "where"), {"lang": "en", "level": 3, "topic": {"matches": "^a"}}),
    ("rubric", ("tags",), {"a": "[[responseA]]", "b": "[[responseB]]", "tie": None}),
    ("gate-policy", (*RULE, "metrics"), "damage"),
    ("gate-policy", (*RULE, "suites"), "quick-facts"),
    ("gate-policy", (*RULE, "systems"), ["one", "two"]),
]
REJECTED: list[Edit] = [
    ("experiment", ("sytems",), {}),
    ("experiment", ("name",), MISSING),
    ("experiment", ("suites",), []),
    ("experiment", ("suites", 0), 3),
    ("experiment", ("suites", 0), {"nmae": "quick-facts"}),
    ("experiment", ("suites", 0), {"kind": "nmaed", "name": "quick-facts"}),
    ("experiment", ("profile",), "fiar"),
    ("experiment", ("decoding",), {"temprature": 0.3}),
    ("experiment", ("models", "small", "engine"), "hff"),
    ("experiment", ("models", "small", "engine"), MISSING),
    ("experiment", ("models", "small", "modle"), "x"),
    ("experiment", ("models", "small", "base_url"), "http://localhost/v1"),
    ("experiment", ("models", "small", "model"), MISSING),
    ("experiment", ("models", "small", "dtype"), "float31"),
    ("experiment", ("inspectors", "helpful", "modell"), "x"),
    ("experiment", ("systems", "base", "upstraem"), "small"),
    ("experiment", ("systems", "base", "upstream"), MISSING),
    ("experiment", ("systems", "base", "kind"), "best_of_m"),
    ("experiment", ("systems", "base"), {"kind": "best_of_n", "upstream": "small", "inspectors": []}),
    ("experiment", (*CORRECTOR, "kind"), MISSING),
    ("experiment", (*CORRECTOR, "kind"), "alinger"),
    ("experiment", CORRECTOR, {"kind": "repeat", "times": 0, "corrector": ALIGNER}),
    ("experiment", CORRECTOR, {"kind": "chain", "correctors": [ALIGNER, {"kind": "sqaud"}]}),
    ("experiment", CORRECTOR, {**SQUAD, "ordr": "batch"}),
    ("experiment", CORRECTOR, {**PARALLEL, "pick": {"by": "maen", "inspectors": ["helpful"]}}),
    ("experiment", CORRECTOR, {**PARALLEL, "pick": {"by": "judge", "judge": {"kind": "logporb"}}}),
    ("experiment", ("judges", "facts", "kind"), "refrence"),
    ("experiment", ("judges", "facts", "model"), "small"),
    ("experiment", ("raters",), {"harm": {"kind": "hram", "model": "small"}}),
    ("experiment", ("prices",), {"small": {"input": 0.1}}),
    ("experiment", ("paper",), {"table": "ngweta2024/table3"}),
    ("experiment", ("stand_ins",), {"suite": []}),
    ("suite", ("license",), "MIT"),
    ("suite", ("licence",), MISSING),
    ("suite", ("version",), MISSING),
    ("suite", ("version",), ""),
    ("suite", ("sources",), []),
    ("suite", ("sources", 0, "kind"), "pakaged"),
    ("suite", (*COLUMNS, "promt"), "x"),
    ("suite", (*COLUMNS, "text"), 3),
    ("suite", (*COLUMNS, "references"), [{"colum": "x"}]),
    ("suite", ("subsets",), {"small": {"sampel": {}}}),
    ("rubric", ("usr",), "x"),
    ("rubric", ("user",), MISSING),
    ("rubric", ("names",), "best"),
    ("rubric", ("tags",), {"c": "x"}),
    ("gate-policy", ("margn",), 3),
    ("gate-policy", ("margin",), 0),
    ("gate-policy", RULE, {"margin": 3}),
    ("gate-policy", (*RULE, "metrics"), []),
    ("gate-policy", (*RULE, "metrics"), ["acuracy"]),
    ("gate-policy", (*RULE, "metrics"), "acuracy"),
    ("gate-policy", (*RULE, "sytems"), ["new"]),
]

PLUGIN = """
from typing import Any
from pydantic import ConfigDict, Field
from aligner_bench.judges.base import JudgeSpec

class Coin(JudgeSpec):
    '''Toss a coin.'''
    bias: float = Field(0.5, ge=0, le=1, description="probability of the candidate")

class Opaque(JudgeSpec):
    '''Has a field of a type that no schema describes.'''
    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: object.__class__("Thing", (), {}) = Field(None, description="a thing")
"""


@cache
def validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(What(kind)).schema)


def faults(kind: str, data: Any) -> list[str]:
    """What the schema finds wrong with plain data, as an editor sees it: its keys are strings."""
    found = validator(kind).iter_errors(json.loads(json.dumps(data)))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def edited(kind: str, at: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    data = copy.deepcopy(BASES[kind])
    if not at:
        return data
    node: Any = data
    for step in at[:-1]:
        node = node[step]
    if value is MISSING:
        del node[at[-1]]
    else:
        node[at[-1]] = value
    return data


def load(kind: str, data: dict[str, Any], folder: Path) -> object:
    path = folder / "file.yaml"
    path.write_text(yaml.safe_dump(data))
    return LOADERS[kind](path)


def test_the_schemas_are_valid():
    for kind in What:
        Draft202012Validator.check_schema(schema_of(kind).schema)


@pytest.mark.parametrize(("kind", "path"), PACKAGED, ids=[path.stem for _, path in PACKAGED])
def test_packaged_files_are_accepted_and_name_their_schema(kind, path):
    text = path.read_text("utf-8")
    LOADERS[kind](path)
    assert faults(kind, yaml.safe_load(text)) == []
    first = text.partition("\n")[0]
    assert first.startswith("# yaml-language-server: $schema=")
    named = path.parent / first.partition("=")[2]
    assert named.resolve() == ROOT / "docs" / "schemas" / f"{kind}.json"


@pytest.mark.parametrize("edit", ACCEPTED, ids=str)
def test_short_forms_are_accepted_by_both(edit, tmp_path):
    data = edited(*edit)
    load(edit[0], data, tmp_path)
    assert faults(edit[0], data) == []


@pytest.mark.parametrize("edit", REJECTED, ids=str)
def test_typos_are_rejected_by_both(edit, tmp_path):
    data = edited(*edit)
    with pytest.raises(UsageError):
        load(edit[0], data, tmp_path)
    assert faults(edit[0], data)


def test_one_typo_in_a_kind_is_one_fault_at_its_place():
    """An editor marks what is wrong with the named kind, not that no kind fits."""
    nested = {"kind": "chain", "correctors": [ALIGNER, {**ALIGNER, "tempalte": "ji-v1"}]}
    (fault,) = faults("experiment", edited("experiment", CORRECTOR, nested))
    assert fault.startswith("systems.corrected.corrector.correctors.1: ")
    assert "'tempalte'" in fault
    (fault,) = faults("experiment", edited("experiment", ("models", "small", "modle"), "x"))
    assert fault.startswith("models.small: ")
    assert "'modle'" in fault


@pytest.mark.parametrize("kind", What)
def test_committed_schemas_are_current(kind):
    committed = json.loads((ROOT / "docs" / "schemas" / f"{kind}.json").read_text("utf-8"))
    assert committed == schema_of(kind, plugins=False).schema, "run: make schemas"


def spec_classes() -> list[type[BaseModel]]:
    """Every class that a user's file is read into, found from the types of fields and the registries."""
    waiting: list[Any] = [Experiment, SuiteSpec, Rubric, Policy]
    found: list[Any] = []
    while waiting:
        part = waiting.pop()
        waiting.extend(get_args(part))
        if not isinstance(part, type) or not issubclass(part, BaseModel) or part in found:
            continue
        found.append(part)
        waiting.extend(field.annotation for field in part.model_fields.values())
        if issubclass(part, Kind) and "registry" in vars(part):
            waiting.extend(part.registry.get_built_in(kind) for kind in part.registry.built_in)
    return found


def test_every_field_is_described():
    classes = spec_classes()
    assert {Decoding, PriceSpec, PaperSpec, InspectorSpec} < set(classes)
    assert len([cls for cls in classes if issubclass(cls, Kind)]) > 25
    bare = [
        f"{cls.__name__}.{name}"
        for cls in classes
        for name, field in cls.model_fields.items()
        if not field.description
    ]
    assert bare == []


@pytest.mark.parametrize("kind", What)
def test_every_property_of_a_schema_is_described(kind):
    schema = schema_of(kind, plugins=False).schema
    parts = {"the file": schema, **schema["$defs"]}
    bare = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, value in part.get("properties", part.get("then", {}).get("properties", {})).items()
        if not value.get("description")
    ]
    assert bare == []


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """An installed distribution with a judge, one that does not import, and one without a schema."""
    (tmp_path / "coin_judge.py").write_text(PLUGIN)
    info = tmp_path / "coin_judge-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coin-judge\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[aligner_bench.judges]\n"
        "coin = coin_judge:Coin\nopaque = coin_judge:Opaque\nbroken = coin_judge_missing:Judge\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("plugins")
def test_plugins_are_in_the_schema_and_broken_ones_are_named(tmp_path):
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == 0
    made = Draft202012Validator(json.loads(printed.stdout))
    for spec, good in (({"bias": 0.4}, True), ({"bias": 2}, False), ({"bais": 0.4}, False)):
        data = edited("experiment", ("judges", "coin"), {"kind": "coin", **spec})
        assert made.is_valid(data) is good
    for name in ("opaque", "broken"):
        assert not made.is_valid(edited("experiment", ("judges", "new"), {"kind": name}))
        assert repr(name) in printed.stderr
    assert len(printed.stderr.splitlines()) == 2
    alone = CliRunner().invoke(app, ["schema", "--built-in"])
    assert alone.stderr == ""
    assert "Coin" not in json.loads(alone.stdout)["$defs"]


@pytest.mark.usefixtures("plugins")
def test_a_kind_may_be_the_path_of_a_class():
    data = edited("experiment", ("judges", "coin"), {"kind": "python:coin_judge:Coin", "bias": 0.4})
    assert faults("experiment", data) == []


def test_an_unknown_sort_of_file_is_a_usage_error():
    assert CliRunner().invoke(app, ["schema", "suites"]).exit_code == 2
