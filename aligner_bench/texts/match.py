"""Decide whether a free-text answer contains an accepted short answer.

Both sides are split into normalised tokens (`normalise`). An answer is correct if it contains the tokens of
some reference contiguously and in order, not directly negated (`matches`).

Known limits, accepted to keep the rule simple:

- An answer that lists several candidates is correct if one of them is accepted.
- Only a negation directly before the name is detected ("not Paris", "isn't in Paris", "rather than Paris").
  A later or more distant one ("Paris is wrong", "it is false that it is Paris") is not.
- Accents are significant, so give both spellings ("São Paulo", "Sao Paulo"). So are plurals.
- The pronoun "one" reads as the number 1, and hundred, thousand and larger words stay words.
- A reference made only of articles or punctuation ("A", "?") has no tokens and never matches.
"""

import re
import unicodedata
from collections.abc import Sequence


def _split(text: str) -> list[str]:
    return text.split()


_UNITS = _split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = _split("twenty thirty forty fifty sixty seventy eighty ninety")
_NUMBERS = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_ARTICLES = frozenset({"a", "an", "the"})
# A comma, or one of the narrow and non-breaking spaces used as thousands separators.
_THOUSANDS = re.compile(r"(?<=\d)[,\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_POSSESSIVE = re.compile(r"'s\b")
# A fraction, else a number with its sign and decimals, else a run of letters ("5km" is two tokens).
_TOKEN = re.compile(r"\d+/\d+|(?<![\w.)])-?\d*\.\d+|(?<![\w.)])-\d+|\d+(?:\.\d+)?|[^\W\d_]+")
_NEGATIONS = frozenset(
    _split("not never neither nor cannot cant isnt wasnt arent werent dont doesnt didnt couldnt wouldnt")
)
_FILLERS = frozenset(
    _split("be been is was in at on of by from as to called named known actually really necessarily")
)
_CONTRASTS = (("rather", "than"), ("instead", "of"), ("other", "than"), ("opposed", "to"))


def normalise(text: str) -> list[str]:
    """Split a text into normalised tokens.

    NFKC and case folding; thousands separators, articles and punctuation dropped; number words from zero
    to ninety-nine as digits; "7.50" as "7.5"; a minus sign directly before a number, and "3/4", kept.

    >>> normalise("The answer is twenty-one, or 1,200.50 km!")
    ['answer', 'is', '21', 'or', '1200.5', 'km']
    """
    plain = unicodedata.normalize("NFKC", _THOUSANDS.sub("", text)).casefold()
    plain = plain.translate({0x2019: "'", 0x2018: "'", 0x2044: "/", 0x2212: "-"})
    plain = _POSSESSIVE.sub("", _THOUSANDS.sub("", plain)).replace("'", "")
    return _join_numbers([token for token in _TOKEN.findall(plain) if token not in _ARTICLES])


def matches(answer: str, references: Sequence[str]) -> bool:
    """Return whether `answer` contains one of the accepted answers, by the rule of this module."""
    tokens = normalise(answer)
    return any(_contains(tokens, normalise(reference)) for reference in references)


def _contains(tokens: list[str], wanted: list[str]) -> bool:
    width = len(wanted)
    if not width:
        return False
    starts = range(len(tokens) - width + 1)
    return any(tokens[at : at + width] == wanted and not _negated(tokens, at) for at in starts)


def _negated(tokens: list[str], at: int) -> bool:
    """Return whether a negation precedes position `at`, with at most two filler words between."""
    if tuple(tokens[max(at - 2, 0) : at]) in _CONTRASTS:
        return True
    for back in range(1, 4):
        if back > at:
            return False
        token = tokens[at - back]
        if token in _NEGATIONS:
            return True
        if token not in _FILLERS:
            return False
    return False


def _join_numbers(tokens: list[str]) -> list[str]:
    """Convert number words to digits, join "twenty one" into one token, and strip trailing zeros."""
    joined: list[str] = []
    previous = ""
    for token in tokens:
        value = _NUMBERS.get(token)
        if value is not None and 0 < value < 10 and previous in _TENS:
            joined[-1] = str(_NUMBERS[previous] + value)
        else:
            joined.append(_strip_zeros(token) if value is None else str(value))
        previous = token
    return joined


def _strip_zeros(token: str) -> str:
    if "." not in token:
        return token
    whole, _, decimals = token.partition(".")
    decimals = decimals.rstrip("0")
    whole = {"": "0", "-": "-0"}.get(whole, whole)
    return f"{whole}.{decimals}" if decimals else whole
