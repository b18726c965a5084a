"""Numbers about correctors at work: scores, steps, effects of actors, and the edits of rewrites."""

from __future__ import annotations

from aligner_bench.results import estimators as by
from aligner_bench.results.measure import Estimator, Format, Measure, PerPrompt, Sign, Unit, per_row
from aligner_bench.results.measures.makers import count, share

_STEPS = "Ngweta et al. 2024, sections 3 and 4"
_FAMILY = "clusters=family"


def _mean(
    name: str,
    definition: str,
    of: str,
    heading: str,
    unit: Unit = "score",
    estimator: Estimator = by.MEAN_SCORE,
    better: Sign = 0,
    source: str = "",
    values: PerPrompt | None = None,
) -> Measure:
    return Measure(
        name=name,
        definition=definition,
        unit=unit,
        better=better,
        estimator=estimator,
        of=f"{of}, {_FAMILY}",
        heading=heading,
        format="percent" if unit in ("share", "difference of shares") else "decimal",
        source=source,
        values=values,
    )


def _other(
    name: str,
    definition: str,
    unit: Unit,
    estimator: Estimator,
    of: str,
    heading: str,
    printed: Format = "decimal",
    source: str = "",
) -> Measure:
    return Measure(
        name=name,
        definition=definition,
        unit=unit,
        estimator=estimator,
        of=of,
        heading=heading,
        format=printed,
        source=source,
    )


# Scores ---------------------------------------------------------------------------------------
SCORE_MEAN = Measure(
    name="score_mean",
    definition="mean score of one inspector at one moment of the correction",
    unit="score",
    better=1,
    estimator=by.MEAN_SCORE,
    of="scores",
    heading="mean score",
    format="decimal",
)
SCORE_QUANTILES = _other(
    "score_quantiles",
    "quantiles of one inspector's scores at 5, 25, 50, 75 and 95 %",
    "score",
    by.QUANTILES,
    "scores, 5, 25, 50, 75, 95 %",
    "quantiles",
)
SCORE_HISTOGRAM = _other(
    "score_histogram",
    "scores of one inspector in 20 equal bins of [0, 1]",
    "count",
    by.HISTOGRAM,
    "scores, 20 bins of [0, 1]",
    "histogram",
    "count",
)
SCORE = _other(
    "score", "score of one inspector for one text", "score", by.RECORDED, "score in the trace", "score"
)
THRESHOLD = _other(
    "threshold",
    "score below which a member acts",
    "score",
    by.RECORDED,
    "threshold in the trace",
    "threshold",
)

# Steps ----------------------------------------------------------------------------------------
EFFECT = _mean(
    "effect",
    "mean change of an inspector's score over an actor's rewrites, rejected ones included",
    "score after - score before",
    "change",
    "difference of scores",
    by.MEAN_CHANGE,
    1,
    f"{_STEPS}, Fig. 2",
)
EFFECT_P = _other(
    "effect_p_value",
    "two-sided cluster-robust t test of no change of the score",
    "p value",
    by.NO_CHANGE,
    "score after - score before, clusters=family",
    "p",
    "p_value",
)
EFFECT_P_HOLM = _other(
    "effect_p_holm",
    "p value of the effect, corrected by Holm over the system's effect matrix",
    "p value",
    by.HOLM,
    "p values of the system's effects",
    "p (Holm)",
    "p_value",
    "Holm 1979 (Scand. J. Stat. 6:65)",
)
N_TRACED = count("n_traced", "answers of the system whose trace goes on from an upstream answer", "answers")
N_ACTED = count("n_acted", "rewrites that were kept", "kept")
N_SKIPPED = count("n_skipped", "turns at which the score was high enough", "skipped")
N_REJECTED = count("n_rejected", "rewrites that an accept rule did not keep", "rejected")
N_OFFERED = count("n_offered", "rewrites that were candidates for a choice", "offered")
N_PICKED = count("n_picked", "times the actor's rewrite was chosen", "picked")
TOUCHED = share(
    "touched",
    "answers that the actor rewrote at least once, kept or not",
    "answers rewritten at least once, answers",
    heading="share of answers",
)
STEP = _other("step", "number of the step; 1 is the first after the start", "count", by.RECORDED,
              "position in the trace", "step", "count")  # fmt: skip
N_CHANGED = count("n_changed", "answers that the step changed", "changed")
GAIN_LOWEST = _mean(
    "gain_lowest",
    "mean change of the lowest inspector score in one step",
    "change of the lowest score",
    "lowest score",
    "difference of scores",
    by.MEAN_CHANGE,
    1,
    _STEPS,
)
GAIN_MEAN = _mean(
    "gain_mean",
    "mean change of the mean inspector score in one step",
    "change of the mean score",
    "mean score",
    "difference of scores",
    by.MEAN_CHANGE,
    1,
    _STEPS,
)
STEP_EDIT = _mean(
    "step_edit_ratio",
    "mean token edit distance of one step over the length of the text before it",
    "levenshtein(tokens) / tokens before",
    "edit ratio",
    "ratio",
    by.MEAN_AMOUNT,
)
ORDER_SHARE = share(
    "order_share",
    "answers in which the members were visited in this order, of answers that have an order",
    "answers with this order, answers with an order",
    heading="share",
)
ORDER_END = _mean(
    "order_end_lowest",
    "mean of the lowest inspector score at the end, of answers with this order",
    "lowest score at the end",
    "lowest score at the end",
    better=1,
)
ORACLE_END = _mean(
    "oracle_end_lowest",
    "mean of the lowest inspector score of the final answers",
    "lowest score of the final answer",
    "final answer",
    better=1,
)
ORACLE_BEST = _mean(
    "oracle_best_lowest",
    "mean of the lowest inspector score of the best intermediate text",
    "lowest score of the best intermediate text",
    "best intermediate text",
    better=1,
)
ORACLE_GAP = _mean(
    "oracle_gap",
    "mean difference of the lowest score, best intermediate text less final answer",
    "best - final",
    "gap",
    "difference of scores",
    better=-1,
)
ORACLE_END_RIGHT = _mean(
    "oracle_end_right",
    "final answers right by the references; a failed answer is not right",
    "final answer is right",
    "final answer",
    "share",
    better=1,
)
ORACLE_BEST_RIGHT = _mean(
    "oracle_best_right",
    "prompts with any intermediate text right by the references",
    "any intermediate text is right",
    "best intermediate text",
    "share",
    better=1,
)
ORACLE_RIGHT_GAP = _mean(
    "oracle_right_gap",
    "prompts with a right intermediate text and a wrong final answer",
    "any intermediate text is right - final answer is right",
    "gap",
    "difference of shares",
    better=-1,
)

# Edits: values are of (edit, copied) rows -------------------------------------------------------------------
N_REWRITES = count("n_rewrites", "answers with an upstream answer and no failure", "answers")
N_LEFT_OUT = count("n_left_out", "failed or missing answers", "left out")
N_COPIED = count("n_copied", "answers left exactly as they were", "copied")
COPIED = share(
    "copied",
    "answers left exactly as they were, of answers without a failure",
    "answers equal to the upstream's, answers",
    heading="share copied",
    values=per_row(lambda row: float(row.copied)),
)


def _edit(
    name: str,
    definition: str,
    of: str,
    heading: str,
    values: PerPrompt,
    unit: Unit = "tokens",
    source: str = "",
) -> Measure:
    return _mean(name, definition, of, heading, unit, by.MEAN_AMOUNT, source=source, values=values)


EDIT_RATIO = _edit(
    "edit_ratio",
    "mean token edit distance over the original's length; can exceed 1",
    "levenshtein(tokens) / tokens before",
    "edit ratio",
    per_row(lambda row: row.edit.ratio),
    "ratio",
)
EDIT_MEDIAN = _other(
    "edit_median",
    "median token edit distance over the original's length",
    "ratio",
    by.MEDIAN,
    "levenshtein(tokens) / tokens before",
    "its median",
)
KEPT = _edit(
    "kept",
    "mean tokens of an answer that both texts have, in order",
    "tokens in both texts",
    "kept",
    per_row(lambda row: row.edit.kept),
)
REMOVED = _edit(
    "removed",
    "mean tokens of an answer that only the original has",
    "tokens in the original only",
    "removed",
    per_row(lambda row: row.edit.before - row.edit.kept),
)
ADDED = _edit(
    "added",
    "mean tokens of an answer that only the rewrite has",
    "tokens in the rewrite only",
    "added",
    per_row(lambda row: row.edit.after - row.edit.kept),
)
LENGTH_BEFORE = _edit(
    "length_before",
    "mean tokens of the upstream's answer",
    "tokens before",
    "length before",
    per_row(lambda row: row.edit.before),
    source="Ji et al. 2024, Table 14",
)
LENGTH_AFTER = _edit(
    "length_after",
    "mean tokens of the corrected answer",
    "tokens after",
    "length after",
    per_row(lambda row: row.edit.after),
    source="Ji et al. 2024, Table 14",
)
LENGTH_RATIO = _other(
    "length_ratio",
    "ratio of the mean lengths in tokens, after to before",
    "ratio",
    by.RATIO,
    "tokens before, tokens after, clusters=family",
    "after : before",
    source="Cochran 1977 (Sampling Techniques, 6.4)",
)
CROSSING_REPAIR = share(
    "crossing_repair",
    "answers below the threshold at the start and not at the end, of those below at the start",
    "below at the start and not at the end, below at the start",
    1,
    "repair: low to high",
)
CROSSING_DAMAGE = share(
    "crossing_damage",
    "answers below the threshold at the end and not at the start, of those not below at the start",
    "below at the end and not at the start, not below at the start",
    -1,
    "damage: high to low",
)
