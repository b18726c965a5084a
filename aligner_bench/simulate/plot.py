"""Plot score trajectories of one regime as a self-contained SVG (Ngweta et al. 2024, Fig. 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aligner_bench.views.svg import Canvas

if TYPE_CHECKING:
    from aligner_bench.simulate.squad import Outcome

_WIDTH, _HEIGHT = 640.0, 416.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 556.0, 106.0, 360.0
_FAINT = 40  # points drawn behind the typical one
_COLOURS = ("#0b5cad", "#c4450c", "#2a7d3f", "#7b3fa0", "#8a6d00", "#b0235f", "#1f7f86", "#555555")
_STYLE = (
    "svg{background:#fff;font:13px system-ui,sans-serif;fill:#222}.grid{stroke:#e3e3e3}"
    ".limit{stroke:#222;stroke-dasharray:5 4}.title{font-size:16px;font-weight:600}"
    ".small{font-size:12px;fill:#555}"
    ".faint{fill:none;stroke-width:1;opacity:.16}.curve{fill:none;stroke-width:2.5}.hollow{stroke-width:2}"
    + "".join(f".s{k}{{stroke:{c}}}.mark.s{k}{{fill:{c}}}" for k, c in enumerate(_COLOURS))
    + ".mark.hollow{fill:#fff}"
)


def plot(outcome: Outcome) -> str:
    """Return an SVG with every style's score by step. A typical point is bold, up to 40 others are faint."""
    regime = outcome.regime.replace("_", " ")
    canvas = Canvas(f"squad-{outcome.regime}", f"Squad, {regime} styles", _subtitle(outcome))
    canvas.text(16, 26, f"{regime} styles", "title")
    canvas.text(16, 46, _subtitle(outcome))
    _axes(canvas, outcome)
    for point in range(min(_FAINT, outcome.setting.points)):
        for style in range(outcome.setting.styles):
            canvas.path(_places(outcome, point, style), f"faint s{style % 8}")
    for style in range(outcome.setting.styles):
        places = _places(outcome, _typical(outcome), style)
        canvas.path(places, f"curve s{style % 8}")
        for x, y in places:
            canvas.marker(x, y, style)
    _legend(canvas, outcome.setting.styles)
    drawn = str(canvas.markup(_WIDTH, _HEIGHT))
    head, _, rest = drawn.partition(">")
    xmlns = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{xmlns}><style>{_STYLE}</style>{rest}\n"


def _subtitle(outcome: Outcome) -> str:
    summary = outcome.summary()
    usual = max(summary["steps"], key=lambda k: summary["steps"][k])
    share = f"{100 * summary['reached']:.0f} % of {outcome.setting.points} points reach all thresholds"
    return f"{share}, most after {usual} step{'' if usual == '1' else 's'}"


def _typical(outcome: Outcome) -> int:
    """Return the first point that needs the most common number of steps."""
    steps = outcome.steps.tolist()
    usual = max(dict.fromkeys(steps), key=steps.count)
    return int(steps.index(usual))


def _place(outcome: Outcome, step: int, score: float) -> tuple[float, float]:
    x = _LEFT + (_RIGHT - _LEFT) * step / outcome.setting.limit
    return x, _BOTTOM - (_BOTTOM - _TOP) * score


def _places(outcome: Outcome, point: int, style: int) -> Sequence[tuple[float, float]]:
    scores = outcome.scores[:, point, style].tolist()
    known = [_place(outcome, step, score) for step, score in enumerate(scores) if not math.isnan(score)]
    aside = 4 * (style - (outcome.setting.styles - 1) / 2)  # offset, so that equal scores stay visible
    return [(x + aside, y) for x, y in known]


def _axes(canvas: Canvas, outcome: Outcome) -> None:
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = _place(outcome, 0, tick)
        canvas.line(_LEFT, y, _RIGHT, y, "grid")
        canvas.text(_LEFT - 8, y + 4, f"{tick:.2f}", "small", "end")
    for step in range(outcome.setting.limit + 1):
        x, _ = _place(outcome, step, 0.0)
        canvas.text(x, _BOTTOM + 20, str(step), "small", "middle")
    _, y = _place(outcome, 0, outcome.setting.threshold)
    canvas.line(_LEFT, y, _RIGHT, y, "limit")
    canvas.text(_RIGHT + 12, y - 4, "threshold", "small")
    canvas.text(_RIGHT + 12, y + 12, f"{outcome.setting.threshold:g}", "small")
    canvas.text((_LEFT + _RIGHT) / 2, _BOTTOM + 42, "aligners applied; lowest score first", "small", "middle")
    canvas.text(16, _TOP - 14, "inspector score", "small")


def _legend(canvas: Canvas, styles: int) -> None:
    shown = min(styles, 8)
    for style in range(shown):
        x = 64.0 + style * (540.0 / shown)
        canvas.marker(x, 68, style)
        canvas.text(x + 10, 72, f"style {style + 1}" if shown == styles or style < 7 else "…", "small")
