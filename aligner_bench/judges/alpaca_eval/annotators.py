"""The annotators of the installed alpaca-eval package, read as data.

The package is found but not imported: importing it takes seconds, needs setuptools below 81, and would use
its own client. A config names a prompt, a model, decoding options and a parser; all of these are read here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aligner_bench.core.errors import MissingExtraError, UsageError, nearest
from aligner_bench.core.types import Decoding
from aligner_bench.core.yamlfile import read_text_file, read_yaml
from aligner_bench.judges.alpaca_eval.parsers import Parser, make_parser

_START, _END = "<|im_start|>", "<|im_end|>"
_SLOTS = ("instruction", "output_1", "output_2")
_OURS = "openai_completions"  # clients that the openai engine replaces
_LENGTHS = ("max_tokens", "max_new_tokens", "max_tokens_to_sample")
_READ = frozenset({*_LENGTHS, "model_name", "temperature", "top_p", "logprobs", "top_logprobs"})
# Options of AlpacaEval's own clients, prices and hardware, which do not change the prompt.
_ASIDE = frozenset(
    {"requires_chatml", "is_chatml_prompt", "is_chat", "price_per_token", "client_kwargs", "model_kwargs"}
    | {"batch_size", "num_procs", "client_function_name", "is_strip"}
)
_SENT = frozenset({"tools", "tool_choice", "functions", "function_call", "logit_bias", "response_format"})


@dataclass(frozen=True, slots=True)
class Annotator:
    """An annotator: its prompt, its model, and the parser of its reply.

    ``turns`` are (role, text with slots); a single turn without a role is a plain prompt. ``problem`` says
    why the annotator's own model cannot be called; another model can replace it. ``shuffled``: AlpacaEval
    draws its order of the answers; a few annotators always show the reference first.
    """

    name: str
    turns: tuple[tuple[str, str], ...]
    model: str
    decoding: Decoding
    top_logprobs: int
    extra: str
    parser_name: str
    parser_arguments: str
    parser: Parser
    shuffled: bool = True
    problem: str = ""

    @property
    def chat(self) -> bool:
        """Whether the prompt is in chat format."""
        return self.turns[0][0] != ""

    def identity(self) -> dict[str, Any]:
        """Return the prompt's text, decoding, and parser, without the model."""
        return {
            "annotator": self.name,
            "turns": [list(turn) for turn in self.turns],
            "decoding": self.decoding.model_dump(mode="json"),
            "top_logprobs": self.top_logprobs,
            "extra": self.extra,
            "parser": [self.parser_name, self.parser_arguments],
        }

    def rendered(self, instruction: str, output_1: str, output_2: str) -> list[tuple[str, str]]:
        """Return the turns with their slots filled.

        Texts are inserted in one pass after the turns are separated: no answer can open a turn or be taken
        for a slot, as it could in AlpacaEval.
        """
        texts = dict(zip(_SLOTS, (instruction, output_1, output_2), strict=True))
        slot = re.compile("{(" + "|".join(_SLOTS) + ")}")
        return [(role, slot.sub(lambda m: texts[m[1]], text).strip()) for role, text in self.turns]


def evaluators_dir() -> Path:
    """Return the package's folder of annotators. Raises MissingExtraError where it is not installed."""
    found = find_spec("alpaca_eval")
    for place in (found.submodule_search_locations or ()) if found else ():
        folder = Path(place) / "evaluators_configs"
        if folder.is_dir():
            return folder
    raise MissingExtraError("alpaca-eval", "alpaca-eval", "judge alpaca_eval")


def annotator_names() -> list[str]:
    """Return the name of every annotator folder of the installed package."""
    return sorted(folder.name for folder in evaluators_dir().iterdir() if _config_file(folder))


@lru_cache
def load_annotator(name: str) -> Annotator:
    """Return an annotator by its folder's name, or one of a pool by ``FOLDER/ENTRY``.

    Raises UsageError for an unknown name, and for an annotator with a missing requirement.
    """
    folder, _, entry = name.partition("/")
    if folder not in annotator_names():
        raise UsageError(f"unknown annotator {name!r}: {nearest(folder, annotator_names())}")
    file = _config_file(evaluators_dir() / folder)
    assert file is not None
    data = read_yaml(file, "an annotator of alpaca-eval").data
    assert isinstance(data, dict)
    if entry not in data and len(data) > 1:
        raise UsageError(
            f"annotator {folder} is a pool of {len(data)}, one drawn for each pair: name one of them, as in "
            f"{folder}/{nearest_entry(entry, data)}"
        )
    config = data[entry] if entry else next(iter(data.values()))
    try:
        return _annotator(name, config)
    except UsageError as error:
        raise UsageError(f"annotator {name} {error}") from None


def nearest_entry(entry: str, entries: Mapping[str, Any]) -> str:
    """Return the pool's entry nearest to a name, else its first one that judges a single pair."""
    if entry in entries:
        return entry
    alone = [name for name, config in entries.items() if config.get("batch_size", 1) == 1]
    return (alone or list(entries))[0]


def _config_file(folder: Path) -> Path | None:
    files = (folder / name for name in ("configs.yaml", "config.yaml"))
    return next((file for file in files if file.is_file()), None)


def _annotator(name: str, config: Mapping[str, Any]) -> Annotator:
    if config.get("batch_size", 1) != 1:
        raise UsageError(
            f"judges {config['batch_size']} pairs in one prompt; only one pair per prompt is supported"
        )
    options = dict(config.get("completions_kwargs") or {})
    unknown = sorted(set(options) - _READ - _ASIDE - _SENT)
    if unknown:
        raise UsageError(f"needs the completion option {unknown[0]!r}, which is not supported")
    parser = str(config.get("fn_completion_parser", "regex_parser"))
    arguments = dict(config.get("completion_parser_kwargs") or {})
    sent = {key: options[key] for key in sorted(_SENT & set(options))}
    return Annotator(
        name=name,
        turns=_turns(str(config["prompt_template"])),
        model=str(options.get("model_name", "")),
        decoding=_decoding(options),
        top_logprobs=int(options.get("top_logprobs") or 0) if options.get("logprobs") else 0,
        extra=json.dumps(sent, sort_keys=True) if sent else "",
        parser_name=parser,
        parser_arguments=json.dumps(arguments, sort_keys=True),
        parser=make_parser(parser, arguments),
        shuffled=bool(config.get("is_randomize_output_order", True)),
        problem=_problem(config, options),
    )


def _problem(config: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return why the openai engine cannot call the annotator's own model; empty if it can."""
    function = config.get("fn_completions", _OURS)
    if function != _OURS:
        return f"is called through {function}"
    model = str(options.get("model_name", ""))
    if "base_url" in (options.get("client_kwargs") or {}):
        return f"is served at {options['client_kwargs']['base_url']}"
    return f"is the local folder {model}" if model.startswith("/") else ""


def _decoding(options: Mapping[str, Any]) -> Decoding:
    given = [options[name] for name in _LENGTHS if name in options]
    try:
        return Decoding(
            max_new_tokens=given[0] if given else 2048,
            temperature=options.get("temperature", 0.7),
            top_p=options.get("top_p", 1.0),
        )
    except ValidationError as error:
        raise UsageError(f"has a decoding option out of range ({error.errors()[0]['loc'][0]})") from None


def _turns(template: str) -> tuple[tuple[str, str], ...]:
    """Return the prompt's turns, separated before any text is inserted."""
    text = read_text_file(evaluators_dir() / template, "a prompt").strip()
    for slot in _SLOTS:
        if text.count("{" + slot + "}") != 1:
            raise UsageError(f"has a prompt with {text.count('{' + slot + '}')} slots for {slot}, not one")
    if _START not in text:
        return (("", text),)
    if not (text.startswith(_START) and text.endswith(_END)):
        raise UsageError("has a chat prompt that does not begin and end with its marks")
    turns: Sequence[str] = text.split(_START)[1:]
    return tuple(_turn(turn) for turn in turns)


def _turn(text: str) -> tuple[str, str]:
    role, _, content = text.partition("\n")
    # "system name=example_user" marks an example: AlpacaEval sends such a turn as a system turn.
    return role.split()[0], content.split(_END, 1)[0].strip()
