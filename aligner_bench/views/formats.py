"""Format numbers: one rule for every table and chart of the report."""

from __future__ import annotations

from aligner_bench.results.number import Number

_THIN = "\u202f"  # narrow no-break space before a unit
NONE = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """Format a fraction as percent, ``56.3 %``; a dash where there is none."""
    return NONE if value is None else f"{_signed(100 * value, digits)}{_THIN}%"


def decimal(value: float | None, digits: int = 2) -> str:
    """Format a plain decimal with a true minus sign; a dash where there is none."""
    return NONE if value is None else _signed(value, digits)


def _signed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\u2212")


def interval(number: Number | None, unit: str = "%") -> str:
    """Format the limits of a number, ``48.2 to 64.1`` or ``0.12 to 0.40``; empty without limits."""
    if number is None or number.lower is None or number.upper is None:
        return ""
    scale, digits = (100, 1) if unit == "%" else (1, 2)
    return f"{_signed(scale * number.lower, digits)} to {_signed(scale * number.upper, digits)}"


def with_interval(number: Number | None) -> str:
    """Format ``56.3 % (48.2 to 64.1)``, or a dash."""
    if number is None or number.value is None:
        return NONE
    limits = interval(number)
    return f"{percent(number.value)} ({limits})" if limits else percent(number.value)


def count(value: int) -> str:
    """Format a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", _THIN)


def p_value(value: float | None) -> str:
    """Format a p value with three decimals, ``< 0.001`` below that."""
    if value is None:
        return NONE
    return "<\u202f0.001" if value < 0.001 else f"{value:.3f}"


def tally(counts: dict[str, int]) -> str:
    """Format ``ok 70, truncated 2``; zero counts are left out."""
    return ", ".join(f"{name} {count(n)}" for name, n in counts.items() if n) or NONE


def plural(n: int, one: str, many: str = "") -> str:
    """Format ``1 tie``, ``3 ties``."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
