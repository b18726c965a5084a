"""Check a report file against the run: its claim ledger and, if the same code rendered it, its text."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aligner_bench.results.claims import Claim, differing, unpack
from aligner_bench.results.schema import Results
from aligner_bench.store.tables import Row

_LEDGER = re.compile(r'(<script type="application/octet-stream" id="ledger">)([^<]*)(</script>)')
_PAYLOAD = re.compile(r'(<script type="application/octet-stream" id="payload">)([^<]*)(</script>)')
_LONG = re.compile(r"\d+\.\d{9,}(?:e-?\d+)?")
_SHOWN = 3


def page_faults(
    file: Path,
    tables: Mapping[str, Sequence[Row]],
    manifest: Mapping[str, Any],
    results: Results,
    made: Sequence[Claim],
    note: Callable[[str], None],
) -> list[str]:
    """Return one line per fault. ValueError for a file whose claim ledger cannot be read."""
    html = file.read_text("utf-8")
    blocks = _LEDGER.findall(html)
    if len(blocks) != 1:
        return [f"{file.name}: has {len(blocks)} claim ledgers; expected one"]
    ledger = unpack(blocks[0][1])
    written = {str(path): value for path, value, _ in ledger["claims"]}
    queries = {claim.path: claim.query for claim in made}
    faults = list(differing(file.name, written, made))
    if ledger.get("renderer") == _renderer():  # other code may word a query in another way
        faults += [
            f"{file.name}: the query of {path} is not the recomputed one"
            for path, _, query in ledger["claims"]
            if queries.get(path, query) != query
        ]
        return faults + _text_faults(file.name, html, tables, manifest, results)
    note(
        f"{file.name}: rendered by a different version, so only its claim ledger was compared, not its text; "
        "`aligner-bench report` renders it again"
    )
    return faults


def prompts_shown(file: Path) -> list[tuple[str, str]]:
    """Return (suite, prompt_id) of the page's answers in their order; empty if unreadable."""
    try:
        found = _PAYLOAD.search(file.read_text("utf-8"))
        data = json.loads(_decoded(found[2])) if found else {}
        return [(row["suite"], row["id"]) for row in data["prompts"]]
    except (OSError, LookupError, TypeError, ValueError):
        return []


def _decoded(text: str) -> str:
    """Decode the payload to JSON, since equal data can be compressed differently. ValueError if invalid."""
    try:
        return zlib.decompress(base64.b64decode(text, validate=True)).decode("ascii")
    except (binascii.Error, zlib.error) as error:
        raise ValueError(str(error)) from error


def _renderer() -> str:
    from aligner_bench.views.report import renderer

    return renderer()


def _text_faults(
    name: str,
    html: str,
    tables: Mapping[str, Sequence[Row]],
    manifest: Mapping[str, Any],
    results: Results,
) -> list[str]:
    """Render the page again and report each differing line of the file."""
    from aligner_bench.views.answers import answers
    from aligner_bench.views.report import render

    again = render(results, answers(tables), manifest)
    return list(_lines(name, _comparable(again).split("\n"), _comparable(html).split("\n")))


def _comparable(html: str) -> str:
    """Return the page without its ledger, answers unpacked, floats rounded to 9 significant digits."""
    plain = _PAYLOAD.sub(lambda found: found[1] + _unpacked(found[2]) + found[3], _LEDGER.sub(r"\1\3", html))
    return _LONG.sub(lambda found: f"{float(found[0]):.9g}", plain)


def _unpacked(text: str) -> str:
    try:
        return _decoded(text)
    except ValueError:
        return text


def _lines(name: str, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[str]:
    import difflib

    if ours == theirs:
        return
    blocks = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    changed = [block for block in blocks if block[0] != "equal"]
    for _, i1, i2, j1, j2 in changed[:_SHOWN]:
        old, new = "\n".join(ours[i1:i2]), "\n".join(theirs[j1:j2])
        what = "the answers' data" if 'id="payload"' in old + new else "the text"
        yield f"{name}:{j1 + 1}: {what} differs from the rows: {_difference(old, new)}"
    if len(changed) > _SHOWN:
        yield f"{name}: {len(changed) - _SHOWN} more places differ from the rows"


def _difference(old: str, new: str, around: int = 40) -> str:
    """Return the first position where two texts differ, with its context."""
    pairs = enumerate(zip(old, new, strict=False))
    start = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
    here, there = (text[max(0, start - around) : start + around].strip() for text in (new, old))
    return f"{here!r}, expected {there!r}"
