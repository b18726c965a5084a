"""Render the report: one self-contained HTML file with every number of a run and every answer.

The file makes no request and allows none (Content-Security-Policy by hash). Headline, tables and charts are
plain HTML and SVG without a script; only the browser of answers needs one.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from aligner_bench.results.claims import claims, paths_by_identity
from aligner_bench.results.claims import pack as pack_claims
from aligner_bench.results.controls import control_outcome
from aligner_bench.results.measures import MEASURES
from aligner_bench.results.schema import Results
from aligner_bench.views import (
    anatomy_views,
    categories,
    charts,
    costs,
    formats,
    harm,
    layout,
    published,
    step_views,
)
from aligner_bench.views.hostile import shown
from aligner_bench.views.payload import pack

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_SCRIPTS = ("report.js", "ratings.js", "answers.js")


def render(results: Results, answers: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]) -> str:
    """Render the report as HTML text that can always be encoded as UTF-8; the same input gives the same text.

    ``answers`` has one mapping per (suite, prompt) with its systems and verdicts; ``manifest`` is any nesting
    of mappings, sequences and scalars. All statistics come from ``results``.
    """
    style, script = _own("report.css"), Markup("\n").join(_own(name) for name in _SCRIPTS)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            manifest=manifest,
            policy=_policy(style, script),
            claim=_marker(results),
            ledger=Markup(pack_claims(claims(results), renderer())),  # noqa: S704 - base64
            style=style,
            script=script,
            payload=pack(results, answers),
            n_answers=sum(len(row["systems"]) for row in answers),
            n_in_run=sum(row.n_total for row in results.systems),
            **_sections(results),
        )
    )


def write_report(
    results: Results, answers: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any], path: Path
) -> None:
    """Write the report to ``path``, whole or not at all."""
    data = render(results, answers, manifest).encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _own(name: str) -> Markup:
    """A file of this package as trusted markup."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def _marker(results: Results) -> Callable[[object], str]:
    """Part of the results -> its path in the claim ledger; empty for anything else."""
    paths = paths_by_identity(results)
    return lambda part: paths.get(id(part), "")


def renderer() -> str:
    """Hash (SHA-256) the code of the page and its queries: equal code makes equal pages of equal rows."""
    package = _TEMPLATES.parent.parent
    code = [*package.glob("views/*.py"), *package.glob("results/**/*.py")]
    files = sorted([*code, *_TEMPLATES.iterdir()])
    total = hashlib.sha256()
    for path in filter(Path.is_file, files):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _sections(results: Results) -> dict[str, Any]:
    return {
        "boards": layout.boards(results),
        "kinds": layout.system_kinds(results),
        "matrices": layout.matrices(results),
        "category_figures": categories.category_figures(results),
        "repair_figures": layout.repair_figures(results),
        "score_figures": layout.score_figures(results),
        "audit": layout.audit_figure(results),
        "published": published.grids(results),
        "harm_boards": harm.boards(results),
        **step_views.sections(results),
        **anatomy_views.sections(results),
    }


def _policy(style: str, script: str) -> str:
    """Load nothing; allow this style and this script only, and no markup from text."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=formats.percent, decimal=formats.decimal, interval=formats.interval, count=formats.count,
        p_value=formats.p_value, tally=formats.tally, with_interval=formats.with_interval,
    )  # fmt: skip
    environment.globals.update(
        layout=layout, charts=charts, costs=costs, plural=formats.plural, step_views=step_views,
        anatomy_views=anatomy_views, published_views=published, measures=MEASURES,
        control_outcome=control_outcome,
    )  # fmt: skip
    return environment


def _finalize(value: object) -> object:
    """Make every printed text visible and escape it."""
    return shown(value) if isinstance(value, str) else value
