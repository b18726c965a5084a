"""Escape model output: characters that hide, reorder or break text are made visible (contract 9)."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

# Controls but newline and tab; soft hyphen, zero-width and direction controls; line and paragraph separators;
# annotation and tag characters; non-characters; lone surrogates. Joiners stay: scripts and emoji need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """Replace every character that would hide, reorder or break the text by ``⟦U+XXXX⟧``.

    The result can always be encoded as UTF-8, and is shown in memory order.
    """
    return _HIDDEN.sub(lambda match: f"⟦U+{ord(match[0]):04X}⟧", text.replace("\r\n", "\n"))


def shown(value: object) -> Markup:
    """Make a value visible and escape it for HTML text or attributes. Markup passes unchanged."""
    return value if isinstance(value, Markup) else escape(visible(str(value)))
