"""AlpacaEval's completion parsers: convert a reply to a number from 1 (first) to 2 (second).

The rules are those of ``alpaca_eval.completion_parsers`` (0.6.6), one function per parser. Each takes a
text, a list from an earlier parser, or (for log-probabilities) the whole completion, and returns a list
with one entry per judged pair; one pair is judged at a time, so anything but one entry is no annotation.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.types import Completion

TIE = 1.5
_LONGEST = 50_000  # characters of a reply that are parsed
_NO_LIMIT = -math.inf
Parser = Callable[[Any], list[Any]]


class NoAnnotationError(Exception):
    """The reply holds no preference; the message says why."""


def make_parser(name: str, arguments: Mapping[str, Any]) -> Parser:
    """Return a parser by AlpacaEval's name. Raises UsageError for an unknown name or argument."""
    if name == "pipeline_meta_parser":
        return _pipeline(arguments)
    if name not in _PARSERS:
        raise UsageError(f"needs the parser {name!r}, which is not supported; {nearest(name, _PARSERS)}")
    function, allowed = _PARSERS[name]
    unknown = set(arguments) - set(allowed)
    if unknown:
        hint = nearest(sorted(unknown)[0], allowed)
        raise UsageError(f"gives {name} the unknown argument {sorted(unknown)[0]!r}; {hint}")
    if name == "regex_parser":
        return _regex_parser(arguments)
    return partial(function, **arguments)


def preference(parser: Parser, reply: Any) -> float:
    """Return a reply's number, from 1 (the first answer is better) to 2.

    Raises NoAnnotationError where there is none.
    """
    try:
        found = parser(reply)
    except NoAnnotationError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, SyntaxError, RecursionError, MemoryError) as error:
        raise NoAnnotationError(f"not in the requested form ({type(error).__name__})") from None
    if len(found) != 1:
        raise NoAnnotationError(f"{len(found)} preferences, not one")
    [value] = found
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NoAnnotationError("no number where the preference should be")
    if value == 0:  # AlpacaEval's older spelling of a tie
        return TIE
    if not 1 <= value <= 2:
        raise NoAnnotationError(f"{value} is not between 1 and 2")
    return float(value)


def _text(reply: Any) -> str:
    text = reply.text if isinstance(reply, Completion) else reply
    if not isinstance(text, str):
        raise NoAnnotationError(f"a {type(text).__name__} where text should be")
    if not text:
        raise NoAnnotationError("an empty reply")
    return text[:_LONGEST]


def _regex_parser(arguments: Mapping[str, Any]) -> Parser:
    """Parse the expressions that match, from left to right through the text."""
    try:
        with warnings.catch_warnings():
            # "[[A]]" is a character set in Python; AlpacaEval reads it in the same way.
            warnings.simplefilter("ignore", FutureWarning)
            patterns = {key: re.compile(value) for key, value in dict(arguments["outputs_to_match"]).items()}
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise UsageError(f"regex_parser: outputs_to_match is no mapping of expressions ({error})") from None
    return partial(_regex, patterns=patterns)


def _regex(reply: Any, patterns: Mapping[Any, re.Pattern[str]]) -> list[Any]:
    text = _text(reply)
    found: list[Any] = []
    while True:
        matches = [
            (match.start(), key, match.end()) for key, p in patterns.items() if (match := p.search(text))
        ]
        if not matches:
            return found
        # The earliest match; among several at one position, the expression named first.
        _, key, end = min(matches, key=lambda match: match[0])
        found.append(key)
        if end == 0:
            return found
        text = text[end:]


def _lmsys(reply: Any) -> list[Any]:
    """Return two scores on the first line, for the first and the second answer."""
    scores = _text(reply).split("\n")[0].replace(",", " ").split(" ")
    if len(scores) != 2:
        raise NoAnnotationError("the first line does not hold two scores")
    first, second = float(scores[0]), float(scores[1])
    if not (math.isfinite(first) and math.isfinite(second)):
        raise NoAnnotationError("the first line does not hold two numbers")
    return [1 if first > second else 2 if first < second else 0]


def _ranking(reply: Any, model_1_name: str = "model_1") -> list[Any]:
    """Return the first model's rank from a list of models with their ranks."""
    ranks = ast.literal_eval(_text(reply).strip()) if isinstance(reply, str | Completion) else reply
    found = [entry["rank"] for entry in ranks if entry["model"] == model_1_name]
    if not found or found[0] not in (1, 2):
        raise NoAnnotationError(f"no rank 1 or 2 for {model_1_name}")
    return [found[0]]


def _json(reply: Any, annotation_key: str | None) -> list[Any]:
    """Return one field of a JSON object, or of each in a list; a fenced json block is preferred."""
    text = _text(reply)
    fenced = re.search(r"```json(.*?)```", text, re.DOTALL)
    value = json.loads(fenced.group(1) if fenced else text)
    entries = [value] if isinstance(value, dict) else value
    return [entry if annotation_key is None else entry[annotation_key] for entry in entries]


def _eval(reply: Any) -> list[Any]:
    """Return a Python literal."""
    value = ast.literal_eval(_text(reply).strip())
    return value if isinstance(value, list) else [value]


def _replace(reply: Any, replacer: Mapping[Any, Any], default_replacer: Any = "auto") -> list[Any]:
    """Return the table's value for the reply; without one, the default or the reply itself."""
    value = reply.text if isinstance(reply, Completion) else reply
    return [replacer.get(value, value if default_replacer == "auto" else default_replacer)]


def _logprob(
    reply: Any,
    numerator_token: str,
    denominator_tokens: Sequence[str],
    is_binarize: bool = True,
    log_prob_index: int | str = "batch",
) -> list[Any]:
    """Return 2 - P(first's token) / P(either token), from the top log-probabilities.

    A token that is not among them has probability 0.
    """
    if not isinstance(reply, Completion) or not reply.logprobs:
        raise NoAnnotationError("no log-probabilities came with the reply")
    places = reply.logprobs if log_prob_index == "batch" else [reply.logprobs[int(log_prob_index)]]
    return [_weighed(dict(top), numerator_token, denominator_tokens, is_binarize) for top in places]


def _weighed(top: Mapping[str, float], first: str, tokens: Sequence[str], binary: bool) -> float:
    found = {token: top[token] for token in {first, *tokens} if token in top}
    highest = max(found.values(), default=_NO_LIMIT)
    if highest == _NO_LIMIT:
        most = ", ".join(repr(token) for token in list(top)[:5])
        raise NoAnnotationError(f"none of {', '.join(tokens)} among the top tokens ({most})")
    if binary:
        rivals = (found.get(token, _NO_LIMIT) for token in tokens if token != first)
        return 1 if all(found.get(first, _NO_LIMIT) > rival for rival in rivals) else 2
    mass = {token: math.exp(value - highest) for token, value in found.items()}
    total = sum(mass.get(token, 0.0) for token in tokens)
    return 2 - mass.get(first, 0.0) / total


def _pipeline(arguments: Mapping[str, Any]) -> Parser:
    """Return the results of several parsers in sequence, each applied to every entry of the last."""
    parsers = [make_parser(name, given or {}) for name, given in arguments["parsers_to_kwargs"].items()]

    def run(reply: Any) -> list[Any]:
        found = parsers[0](reply)
        for parser in parsers[1:]:
            found = [entry for part in found for entry in parser(part)]
        return found

    return run


_PARSERS: dict[str, tuple[Callable[..., list[Any]], tuple[str, ...]]] = {
    "regex_parser": (_regex, ("outputs_to_match",)),
    "lmsys_parser": (_lmsys, ()),
    "ranking_parser": (_ranking, ("model_1_name",)),
    "json_parser": (_json, ("annotation_key",)),
    "eval_parser": (_eval, ()),
    "replace_parser": (_replace, ("replacer", "default_replacer")),
    "logprob_parser": (
        _logprob,
        ("numerator_token", "denominator_tokens", "is_binarize", "log_prob_index"),
    ),
}
