"""Numbers about one system against another, from preferences in [0, 1] per prompt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from aligner_bench.core.preferences import Preference
from aligner_bench.results import estimators as by
from aligner_bench.results.measure import Format, Keyed, Measure, PerPrompt, Sign, per_row
from aligner_bench.results.measures.makers import count
from aligner_bench.stats.definitions import DEFINITIONS

_PREFERENCES = "preferences, clusters=family"
_JI, _NGWETA = "Ji et al. 2024 (arXiv 2402.02416)", "Ngweta et al. 2024"
_ALPACA, _DUBOIS = "AlpacaEval", "Dubois et al. 2024 (arXiv 2404.04475)"


def _outcomes(definition: str) -> PerPrompt:
    """Values per prompt under a win rate's definition; None without a verdict, or where it does not count."""

    def values(rows: Sequence[Preference]) -> list[float | None]:
        from aligner_bench.stats.winrate import outcomes

        judged = [row.value for row in rows if row.value is not None]
        found = iter(outcomes(judged, definition).tolist())
        return [None if row.value is None else _number(next(found)) for row in rows]

    return values


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _rate(name: str, heading: str, source: str, unit: Format = "percent", graded: bool = True) -> Measure:
    return Measure(
        name=name,
        definition=DEFINITIONS[name],
        unit="difference of shares" if name == "omega" else "share",
        better=1,
        estimator=by.rate(name),
        of=f"preferences, {name!r}, clusters=family",
        heading=heading,
        format=unit,
        source=source,
        values=_outcomes(name),
        graded=graded,
    )


WEIGHTED = _rate("weighted", "win rate", _DUBOIS)
DISCRETE = _rate("discrete", "discrete", f"{_ALPACA}, discrete_win_rate")
STRICT = _rate("strict", "strict", f"{_NGWETA}, as coded", graded=False)
STRICT_ALL = _rate("strict_all", "strict, of all", f"{_NGWETA}, as worded", graded=False)
OMEGA = _rate("omega", "net wins", f"{_JI}, eq. 5", "signed percent")
RATES = {m.name: m for m in (WEIGHTED, DISCRETE, STRICT, STRICT_ALL, OMEGA)}
BY_DEFINITION = Keyed(RATES)
MACRO = Measure(
    name="macro",
    definition=DEFINITIONS["macro"],
    unit="share",
    better=1,
    estimator=by.MACRO,
    of="preferences, categories, clusters=family",
    heading="macro",
    format="percent",
    source=f"{_NGWETA}, tables 3 and 6",
)
WIN_RATE = Measure(
    name="win_rate",
    definition="the weighted rate in percent, under AlpacaEval's name",
    unit="percent",
    better=1,
    estimator=by.PERCENT_MEAN,
    of="preferences",
    heading="win rate",
    format="decimal",
    source=f"{_ALPACA}; {_DUBOIS}",
    values=WEIGHTED.values,
    graded=True,
)
DISCRETE_WIN_RATE = Measure(
    name="discrete_win_rate",
    definition="the discrete rate in percent, under AlpacaEval's name",
    unit="percent",
    better=1,
    estimator=by.PERCENT_MEAN,
    of="wins as 1, ties as 0.5, losses as 0",
    heading="discrete",
    format="decimal",
    source=_ALPACA,
    values=DISCRETE.values,
    graded=True,
)
STANDARD_ERROR = Measure(
    name="standard_error",
    definition="sample standard deviation of the preferences over the root of n, in percent",
    unit="percent",
    better=-1,
    estimator=by.STANDARD_ERROR,
    of="preferences",
    heading="standard error",
    format="decimal",
    source=_ALPACA,
    values=WEIGHTED.values,
)
WIN_P = Measure(
    name="win_p_value",
    definition="exact McNemar test of wins against losses",
    unit="p value",
    estimator=by.MCNEMAR,
    of="wins, losses",
    heading="p",
    format="p_value",
    source="McNemar 1947 (Psychometrika 12:153), exact",
)
MDE = Measure(
    name="mde",
    definition="least true difference from 50 % found with 80 % power at this n",
    unit="difference of shares",
    better=-1,
    estimator=by.MDE,
    of="preferences",
    heading="detectable",
    format="percent",
    values=WEIGHTED.values,
)
N_TO_DECIDE = Measure(
    name="n_to_decide",
    definition="prompts that would decide an effect of the size seen",
    unit="count",
    better=-1,
    estimator=by.REQUIRED_N,
    of="preferences",
    heading="to decide",
    format="count",
    values=WEIGHTED.values,
)


def _count(
    name: str, definition: str, heading: str, holds: Callable[[Preference], bool], better: Sign = 0
) -> Measure:
    return count(name, definition, heading, better, per_row(lambda row: float(holds(row))))


def _is_win(row: Preference) -> bool:
    return row.value is not None and row.value > 0.5


def _is_loss(row: Preference) -> bool:
    return row.value is not None and row.value < 0.5


N_TOTAL = _count("n_total", "prompts of the suite", "prompts", lambda row: True)
N_WINS = _count("n_wins", "prompts that the candidate wins", "wins", _is_win, 1)
N_DRAWS = _count("n_draws", "prompts that are ties", "ties", lambda row: row.value == 0.5)
N_WINS_BASE = _count("n_wins_base", "prompts that the baseline wins", "losses", _is_loss, -1)
N_FAILED = _count(
    "n_failed", "prompts without a verdict, by any cause", "failed", lambda row: row.value is None, -1
)
N_INCONSISTENT = _count(
    "n_inconsistent",
    "pairs whose two orders disagree; also counted as win, tie or loss",
    "incons.",
    lambda row: row.inconsistent,
    -1,
)
N_IDENTICAL = _count(
    "n_identical", "pairs whose texts are the same; counted as ties", "identical", lambda row: row.identical
)
FAILURES = Measure(
    name="failures",
    definition="prompts without a verdict, by status",
    unit="count",
    better=-1,
    estimator=by.COUNT,
    of="prompts without a verdict, by status",
    heading="failed",
    format="count",
)
CONSISTENCY = Measure(
    name="consistency",
    definition="pairs whose two orders agree, of pairs judged in two orders; equal texts are left out",
    unit="share",
    better=1,
    estimator=by.SHARE,
    of="pairs whose orders agree, pairs",
    heading="consistency",
    format="percent",
    source="Zheng et al. 2023 (arXiv 2306.05685)",
    values=per_row(lambda row: None if row.value is None or row.identical else float(not row.inconsistent)),
)
VERDICT_FAILURES = Measure(
    name="verdict_failures",
    definition="prompts without a verdict, of all prompts",
    unit="share",
    better=-1,
    estimator=by.SHARE,
    of="prompts without a verdict, prompts",
    heading="without verdict",
    format="percent",
    values=N_FAILED.values,
)
LC = Measure(
    name="lc",
    definition="win rate at length difference zero, by a logistic model of preference on the difference",
    unit="share",
    better=1,
    estimator=by.LC,
    of="preferences, lengths, clusters=family, 500 refits",
    heading="length-controlled",
    format="percent",
    source=_DUBOIS,
)
LENGTH_MATCHED = Measure(
    name="length_matched",
    definition="weighted rate among pairs whose lengths are within 10 % of each other",
    unit="share",
    better=1,
    estimator=by.MATCHED,
    of="preferences, lengths, clusters=family",
    heading="like length",
    format="percent",
)
LENGTH_QUINTILES = Measure(
    name="length_quintiles",
    definition="weighted rate by quintile of the length difference (characters, candidate - baseline)",
    unit="share",
    better=1,
    estimator=by.QUINTILES,
    of="preferences, lengths, clusters=family",
    heading="by quintile",
    format="percent",
)
EDIT_BIN_RATE = Measure(
    name="edit_bin_rate",
    definition="weighted rate among answers whose edit ratio lies in the bin",
    unit="share",
    better=1,
    estimator=by.rate("weighted"),
    of="preferences in the bin, 'weighted', clusters=family",
    heading="win rate",
    format="percent",
    values=WEIGHTED.values,
    graded=True,
)


def _change(name: str, words: str, heading: str, holds: Callable[[Preference], bool], better: int) -> Measure:
    return Measure(
        name=name,
        definition=f"judged prompts on which the corrected answer is {words} the upstream's own",
        unit="share",
        better=1 if better > 0 else -1 if better < 0 else 0,
        estimator=by.SHARE,
        of=f"prompts where the corrected answer is {words} the upstream's, judged prompts",
        heading=heading,
        format="percent",
        values=per_row(lambda row: None if row.value is None else float(holds(row))),
    )


CHANGED_BETTER = _change("changed_better", "better than", "better", _is_win, 1)
CHANGED_SAME = _change("changed_same", "as good as", "the same", lambda row: row.value == 0.5, 0)
CHANGED_WORSE = _change("changed_worse", "worse than", "worse", _is_loss, -1)
PAPER_VALUE = Measure(
    name="paper_value",
    definition="the published table's cell, as the manifest holds it",
    unit="share",
    estimator=by.RECORDED,
    of="the published cell",
    heading="paper",
    format="percent",
)
PAPER_N = Measure(
    name="paper_n",
    definition="prompts that the paper says it used",
    unit="count",
    estimator=by.RECORDED,
    of="the published cell's n",
    heading="paper's n",
    format="count",
)
PAPER_OURS = Measure(
    name="paper_ours",
    definition="our rate under the published cell's own definition",
    unit="share",
    better=1,
    estimator=by.RECORDED,
    of="the rate under the published definition",
    heading="ours",
    format="percent",
)
PAPER_DIFFERENCE = Measure(
    name="paper_difference",
    definition="our rate less the published one",
    unit="difference of shares",
    estimator=by.MOVER,
    of="ours, published",
    heading="difference",
    format="signed percent",
    source="Zou and Donner 2008 (Stat. Med. 27:1693)",
)
TREND_SIZE = Measure(
    name="trend_size",
    definition="parameters of the system's aligner",
    unit="parameters",
    estimator=by.RECORDED,
    of="the experiment's sizes",
    heading="size",
    format="count",
)
TREND_MEAN = Measure(
    name="trend_mean",
    definition="mean preference over the prompts that every size has a verdict on",
    unit="preference",
    better=1,
    estimator=by.EXACT_MEAN,
    of="preferences on the shared prompts",
    heading="mean preference",
    format="percent",
)
TREND_N = Measure(
    name="trend_n",
    definition="prompts that every one of the systems has a verdict on",
    unit="count",
    estimator=by.COUNT,
    of="prompts that every size has a verdict on",
    heading="n",
    format="count",
)
TREND_SLOPE = Measure(
    name="trend_slope",
    definition="change of the mean preference for each doubling of the aligner's size",
    unit="preference",
    better=1,
    estimator=by.SLOPE,
    of="preferences by size, clusters=family",
    heading="points per doubling",
    format="signed percent",
)
TREND_P = Measure(
    name="trend_p_value",
    definition="two-sided cluster t test of no slope within prompts",
    unit="p value",
    estimator=by.SLOPE_P,
    of="preferences by size, clusters=family",
    heading="p",
    format="p_value",
)
TREND_P_HOLM = Measure(
    name="trend_p_holm",
    definition="p value of the trend, corrected by Holm over all trends of the run",
    unit="p value",
    estimator=by.HOLM,
    of="p values of all trends",
    heading="p (Holm)",
    format="p_value",
    source="Holm 1979 (Scand. J. Stat. 6:65)",
)
