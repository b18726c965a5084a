"""Define the estimators of published numbers: values and families in, a ``Number`` out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from aligner_bench.results.measure import Estimator
from aligner_bench.results.number import Number

Families = Sequence[str] | None


def repeated(families: Families) -> Families:
    """Keep the families where some has several prompts; None where every prompt is a family of its own."""
    return families if families and len(set(families)) < len(families) else None


def _share(values: Sequence[float], families: Families = None) -> Number:
    """Wilson's interval of a share; families are not used."""
    from aligner_bench.stats.intervals import wilson

    return Number.of(wilson(int(sum(values)), len(values)))


def _exact_share(values: Sequence[float], families: Families = None) -> Number:
    """Clopper and Pearson's interval of a share; families are not used."""
    from aligner_bench.stats.intervals import clopper_pearson

    return Number.of(clopper_pearson(int(sum(values)), len(values)))


def _mean(values: Sequence[float], families: Families, bounds: tuple[float, float] | None) -> Number:
    from aligner_bench.stats.intervals import mean_t

    return Number.of(mean_t(values, repeated(families), bounds=bounds))


def _mean_score(values: Sequence[float], families: Families = None) -> Number:
    return _mean(values, families, (0.0, 1.0))


def _mean_change(values: Sequence[float], families: Families = None) -> Number:
    return _mean(values, families, (-1.0, 1.0))


def _mean_amount(values: Sequence[float], families: Families = None) -> Number:
    """Mean of values that cannot be negative and have no upper bound."""
    return _mean(values, families, None).floored()


def rate(definition: str) -> Estimator:
    """Make the estimator of a win rate by one of ``stats.definitions.DEFINITIONS``, from preferences."""

    def make(values: Sequence[float], families: Families = None) -> Number:
        from aligner_bench.stats.winrate import win_rate

        return Number.of(win_rate(values, definition, repeated(families)))

    return Estimator("win_rate", make)


def _macro(values: Sequence[float], families: Sequence[str], categories: Sequence[str]) -> Number:
    from aligner_bench.stats.winrate import win_rate

    return Number.of(win_rate(values, "macro", families, categories))


def _mcnemar(wins: int, losses: int) -> float:
    from aligner_bench.stats.hypothesis_tests import mcnemar_exact

    return mcnemar_exact(wins, losses)


def _holm(p_values: Sequence[float]) -> list[float]:
    from aligner_bench.stats.hypothesis_tests import holm

    return [float(p) for p in holm(p_values)] if p_values else []


def _no_change(values: Sequence[float], families: Sequence[str]) -> float:
    """Two-sided p value of no change on average; 1.0 where nothing changed or there is one family only."""
    from aligner_bench.stats.hypothesis_tests import drop_p

    if not any(values) or len(set(families)) < 2:
        return 1.0
    below = drop_p(values, 0.0, families)
    return 2 * min(below, 1 - below)


def _alpha(ratings: Sequence[Sequence[Any]], families: Sequence[str]) -> Number:
    from aligner_bench.stats.agreement import krippendorff_alpha

    return Number.of(krippendorff_alpha(ratings, families, scale="interval"))


def _ratio_of_means(pairs: Sequence[tuple[float, float]], families: Families = None) -> Number:
    """Ratio of the mean of the second to the mean of the first of each pair, by linearisation.

    The t interval of (after - R before) / mean(before), around R (Cochran 1977, Sampling Techniques, 6.4).
    """
    from aligner_bench.stats.intervals import mean_t

    total = sum(before for before, _ in pairs)
    if not total:
        return Number(value=None, lower=None, upper=None, n=len(pairs), method="linearised t")
    ratio = sum(after for _, after in pairs) / total
    residuals = [(after - ratio * before) * len(pairs) / total for before, after in pairs]
    estimate = mean_t(residuals, repeated(families), bounds=None).shifted(1.0, ratio)
    return Number.of(estimate).model_copy(update={"value": ratio, "method": f"linearised {estimate.method}"})


def _standard_error(values: Sequence[float]) -> float | None:
    """100 sd / sqrt(n), as AlpacaEval prints it; None for fewer than two values."""
    sd = spread(values)
    return None if sd is None else float(100 * sd / len(values) ** 0.5)


def spread(values: Sequence[float]) -> float | None:
    """Compute the sample standard deviation; None for fewer than two values."""
    import numpy as np

    return float(np.std(np.array(values, dtype=np.float64), ddof=1)) if len(values) > 1 else None


def _percent_mean(values: Sequence[float]) -> float | None:
    import numpy as np

    return float(100 * np.array(values, dtype=np.float64).mean()) if len(values) else None


def _mde(values: Sequence[float]) -> float | None:
    from aligner_bench.stats.power import mde

    sd = spread(values)
    return mde(len(values), sd) if sd else None


def _required_n(values: Sequence[float]) -> int | None:
    import numpy as np

    from aligner_bench.stats.power import required_n

    sd = spread(values)
    effect = abs(float(np.array(values, dtype=np.float64).mean()) - 0.5) if sd else 0.0
    return required_n(effect, sd) if sd and effect > 0 else None


def _slope(
    table: Sequence[Sequence[float]], sizes: Sequence[float], families: Sequence[str]
) -> tuple[Number, float]:
    """The slope and the two-sided p value of no slope, NaN where it cannot be tested."""
    from aligner_bench.stats.trend import slope_per_doubling

    slope, p = slope_per_doubling(table, sizes, families)
    return Number.of(slope), p


def _quantiles(values: Sequence[float]) -> list[float]:
    import numpy as np

    return [float(q) for q in np.quantile(np.array(values), (0.05, 0.25, 0.5, 0.75, 0.95))]


def _histogram(values: Sequence[float]) -> list[int]:
    import numpy as np

    return [int(c) for c in np.histogram(np.array(values), bins=20, range=(0, 1))[0]]


def _median(values: Sequence[float]) -> float:
    from statistics import median

    return median(values)


def _average(values: Sequence[float]) -> float:
    """The mean; 0 where there are no values."""
    return sum(values) / len(values) if values else 0.0


def _exact_mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _whole_average(values: Sequence[float]) -> int:
    """The mean without its fraction, as AlpacaEval prints lengths; 0 where there are no values."""
    return int(_average(values))


def _auc(scores: Sequence[tuple[float, float]]) -> float | None:
    from aligner_bench.inspectors.classifier import auc

    return auc(scores)


def _matched(
    values: Sequence[float], before: Sequence[int], after: Sequence[int], families: Sequence[str]
) -> Number:
    from aligner_bench.stats.length_strata import length_matched

    return Number.of(length_matched(values, before, after, families))


def _quintiles(
    values: Sequence[float], before: Sequence[int], after: Sequence[int], families: Sequence[str]
) -> list[dict[str, float | int | None]]:
    from aligner_bench.stats.length_strata import by_length_quantile

    found = []
    for part in by_length_quantile(values, before, after, families):
        number = Number.of(part.estimate)
        ends = {"from": float(part.lower), "to": float(part.upper)}
        found.append(
            {**ends, "value": number.value, "lower": number.lower, "upper": number.upper, "n": number.n}
        )
    return found


def _order_mean(first: Sequence[float], second: Sequence[float]) -> Number:
    from aligner_bench.stats.judge_power import tie_policies

    return Number.of(tie_policies(first, second)["average"])


def _finite_or_none(p: float) -> float | None:
    return p if math.isfinite(p) else None


def _mover(ours: Number, published: float, low: float, high: float, method: str) -> Number:
    """Our rate less the published one, whose interval is ``low`` to ``high``.

    The intervals are joined by MOVER (Zou and Donner 2008, Stat. Med. 27:1693). ``ours`` has a value.
    """
    value, lower, upper = (x or 0.0 for x in (ours.value, ours.lower, ours.upper))
    gap = value - published
    return Number(
        value=gap,
        lower=gap - math.hypot(value - lower, high - published),
        upper=gap + math.hypot(upper - value, published - low),
        n=ours.n,
        method=method,
    )


def _given(value: Any) -> Any:
    return value


def _quotient(amount: float, n: int) -> float:
    return amount / n


SHARE = Estimator("wilson", _share)
EXACT_SHARE = Estimator("clopper_pearson", _exact_share)
MEAN_SCORE = Estimator("mean_t", _mean_score)
MEAN_CHANGE = Estimator("mean_t", _mean_change)
MEAN_AMOUNT = Estimator("mean_t", _mean_amount)
MEAN = Estimator("mean", _average)
EXACT_MEAN = Estimator("mean", _exact_mean)
WHOLE_MEAN = Estimator("int_mean", _whole_average)
PERCENT_MEAN = Estimator("100 * mean", _percent_mean)
STANDARD_ERROR = Estimator("100 * standard_error", _standard_error)
MACRO = Estimator("macro_win_rate", _macro)
MCNEMAR = Estimator("mcnemar_exact", _mcnemar)
HOLM = Estimator("holm", _holm)
NO_CHANGE = Estimator("cluster_t_test", _no_change)
ALPHA = Estimator("krippendorff_alpha", _alpha)
RATIO = Estimator("ratio_of_means", _ratio_of_means)
MDE = Estimator("mde", _mde)
REQUIRED_N = Estimator("required_n", _required_n)
SLOPE = Estimator("slope_per_doubling", _slope)
QUANTILES = Estimator("quantile", _quantiles)
HISTOGRAM = Estimator("histogram", _histogram)
MEDIAN = Estimator("median", _median)
AUC = Estimator("auc", _auc)
LC = Estimator("lc_win_rate", Number.of)
MATCHED = Estimator("length_matched", _matched)
QUINTILES = Estimator("by_length_quantile", _quintiles)
ORDER_MEAN = Estimator("mean_of_orders", _order_mean)
COUNT = Estimator("count", len)
SUM = Estimator("sum", sum)
QUOTIENT = Estimator("quotient", _quotient)
RECORDED = Estimator("recorded", _given)
SLOPE_P = Estimator("slope_p_value", _finite_or_none)
MOVER = Estimator("mover_difference", _mover)
