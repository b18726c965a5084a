"""Make model output and prompts safe to print on a terminal."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

# Whole escape sequences, in 7-bit (ESC x) and 8-bit form: strings with an end (OSC, DCS, SOS, PM, APC),
# then CSI, then the short ones. Bodies stop at the next ESC, so the search stays linear in the text.
_SEQUENCES = re.compile(
    "(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)"
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|\x1b[ -/]*[0-~]"
)
# The remaining C0 and C1 controls (except tab and newline), and bidirectional controls.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def terminal_safe(text: str) -> str:
    """Return `text` without escape sequences, control characters and bidirectional overrides.

    Newlines and tabs stay; lone surrogates become U+FFFD. The result contains no ESC, so removal cannot
    create a new sequence.
    """
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _SEQUENCES.sub("", text)))


def one_line(text: str) -> str:
    """Return `text` made safe for a terminal and joined into one line, for messages that quote data."""
    return " ".join(terminal_safe(text).split())


def public_url(url: str) -> str:
    """Return an address without user name, password, query and fragment, any of which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
