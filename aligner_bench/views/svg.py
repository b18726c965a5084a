"""Draw SVG shapes for accessible charts in the page's colours, without a library."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from aligner_bench.views.hostile import shown, visible

_NARROW = frozenset("iljtfrI.,:;'|!()[] ")
_WIDE = frozenset("mwMW%@")
_LONGEST = 400  # characters of a label that are looked at


def text_width(text: str, size: float = 12.0) -> float:
    """Estimate a text's width in user units from above; the reader's font is not known."""
    share = sum(
        0.36 if ch in _NARROW else 0.95 if ch in _WIDE or ch > "\u2fff" else 0.72 if ch.isupper() else 0.6
        for ch in text
    )
    return size * share


def shortened(text: str, width: float, size: float = 12.0) -> str:
    """Cut a text at the end with an ellipsis where it is wider than ``width``."""
    text = visible(text[: int(4 * width / size) + 2])  # no letter is narrower than a quarter of its height
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, width: float, size: float = 12.0, most: int = 3) -> list[str]:
    """Wrap a text into at most ``most`` lines, after spaces, commas, slashes, hyphens and underscores."""
    lines, line = [], ""
    for piece in _pieces(visible(text[:_LONGEST])):
        if line and text_width((line + piece).rstrip(), size) > width:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], "".join(lines[most - 1 :])]
    return [shortened(one.strip(), width, size) for one in lines]


def _pieces(text: str) -> list[str]:
    pieces = [""]
    for ch in text:
        pieces[-1] += ch
        if ch in " ,/-_":
            pieces.append("")
    return [piece for piece in pieces if piece]


class Canvas:
    """An SVG under construction: CSS pixels, styles by class only (the page's policy allows no others)."""

    def __init__(self, ident: str, title: str, desc: str) -> None:
        self._ident, self._title, self._desc = ident, title, desc
        self._parts: list[Markup] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line."""
        self._parts.append(
            Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
                css, x1, y1, x2, y2
            )
        )

    def rect(self, x: float, y: float, width: float, height: float, css: str) -> None:
        """A rectangle by its top left corner; negative sizes draw nothing."""
        self._parts.append(
            Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                css, x, y, max(width, 0.0), max(height, 0.0)
            )
        )

    def path(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """A line through points."""
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(Markup('<polyline class="{}" points="{}"/>').format(css, way))

    def text(self, x: float, y: float, text: str, css: str = "", anchor: str = "start") -> None:
        """One line of text by its baseline; ``anchor`` start, middle or end."""
        self._parts.append(
            Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
                css, x, y, anchor, shown(text)
            )
        )

    def marker(self, x: float, y: float, series: int, hover: str = "") -> None:
        """A point of a series: it differs by shape and colour, for readers who see few colours."""
        shape = _SHAPES[series % len(_SHAPES)].format(css=f"mark s{series % 8}")
        title = Markup("<title>{}</title>").format(shown(hover)) if hover else Markup("")
        self._parts.append(
            Markup('<g transform="translate({:.1f} {:.1f})">{}{}</g>').format(x, y, title, shape)
        )

    def markup(self, width: float, height: float, css: str = "") -> Markup:
        """The finished SVG with its title and description."""
        return Markup(
            '<svg class="chart {css}" role="img" aria-labelledby="{id}-t {id}-d" '
            'viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}">'
            '<title id="{id}-t">{title}</title><desc id="{id}-d">{desc}</desc>{body}</svg>'
        ).format(
            css=css,
            id=self._ident,
            w=width,
            h=height,
            title=shown(self._title),
            desc=shown(self._desc),
            body=Markup("").join(self._parts),
        )


_SHAPES = (
    Markup('<circle class="{css}" r="4.5"/>'),
    Markup('<rect class="{css}" x="-4" y="-4" width="8" height="8"/>'),
    Markup('<path class="{css}" d="M0-5.6 5.6 0 0 5.6-5.6 0z"/>'),
    Markup('<path class="{css}" d="M0-5.2 5.2 4-5.2 4z"/>'),
    Markup('<path class="{css}" d="M0 5.2 5.2-4-5.2-4z"/>'),
    Markup('<circle class="{css} hollow" r="4"/>'),
    Markup('<rect class="{css} hollow" x="-3.5" y="-3.5" width="7" height="7"/>'),
    Markup('<path class="{css} hollow" d="M0-5 5 0 0 5-5 0z"/>'),
)
