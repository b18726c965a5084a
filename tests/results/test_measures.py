"""Every published number is one ``Measure``: definitions, estimators, claims and the generated page."""

import re
from pathlib import Path
from typing import Annotated

import pytest

from aligner_bench.core.preferences import Preference
from aligner_bench.results.claims import claims
from aligner_bench.results.measures import MEASURES, METRICS, SUBJECTS
from aligner_bench.results.measures import comparisons as c
from aligner_bench.results.measures import systems as s
from aligner_bench.results.number import Number, Published
from aligner_bench.results.numbers_page import page
from aligner_bench.results.places import measures_by_place, places
from aligner_bench.results.schema import Results
from aligner_bench.stats.definitions import DEFINITIONS
from aligner_bench.stats.winrate import win_rate

PREFERENCES = (0.0, 0.25, 0.5, 0.5, 0.75, 1.0, 1.0)
ROOT = Path(__file__).parents[2]


def preference(value, inconsistent=False, identical=False):
    return Preference(value, "missing" if value is None else "ok", inconsistent, identical)


def response(upstream_correct, correct, status="ok", upstream="old", text="new"):
    return {
        "upstream": upstream,
        "text": text,
        "upstream_correct": upstream_correct,
        "correct": correct,
        "status": status,
    }


def test_every_published_number_has_its_measure():
    assert [place.path for place in places() if place.measure is None and place.setting is None] == []


def test_a_field_without_a_measure_is_found():
    class Inner(Published):
        bare: list[Number] | None
        with_one: Annotated[float, c.MDE]
        words: str

    class Outer(Published):
        rows: list[Inner]
        n: int

    missing = [place.path for place in places(Outer) if place.measure is None]
    assert missing == ["rows.bare", "n"]


def test_every_measure_is_in_the_list_once():
    names = [measure.name for measures in SUBJECTS.values() for measure in measures]
    assert len(names) == len(set(names)) == len(MEASURES)
    assert {measure.name for measure in measures_by_place().values()} <= set(MEASURES)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda measure: measure.name)
def test_a_measure_says_what_it_is(measure):
    assert measure.heading
    assert re.match(r"[A-Z\w].{10,}[^.\s]$", measure.definition)
    assert measure.query == f"{measure.estimator.name}({measure.of})"
    assert measure.of


def test_metrics_have_values_and_a_direction():
    for measure in METRICS.values():
        assert measure.values is not None
        assert measure.better != 0


@pytest.mark.parametrize("name", c.RATES)
def test_the_rate_is_the_mean_of_its_values_per_prompt(name):
    measure = c.RATES[name]
    rows = [preference(value) for value in (*PREFERENCES, None)]
    values = measure.of_rows(rows)
    made = measure.number([row.value for row in rows if row.value is not None])
    assert sum(values) / len(values) == pytest.approx(made.value)
    assert made.value == pytest.approx(win_rate(PREFERENCES, name).value)
    assert measure.definition == DEFINITIONS[name]


def test_rates_by_hand():
    rows = [preference(value) for value in (*PREFERENCES, None)]
    assert c.DISCRETE.values(rows) == [0, 0, 0.5, 0.5, 1, 1, 1, None]
    assert c.STRICT.values(rows) == [0, 0, None, None, 1, 1, 1, None]
    assert c.OMEGA.values(rows) == [-1, -1, 0, 0, 1, 1, 1, None]
    assert c.WIN_RATE(c.WIN_RATE.of_rows(rows)) == pytest.approx(100 * sum(PREFERENCES) / 7)
    assert c.DISCRETE_WIN_RATE(c.DISCRETE_WIN_RATE.of_rows(rows)) == pytest.approx(100 * 4 / 7)
    assert c.VERDICT_FAILURES.values(rows) == [0] * 7 + [1]
    assert [m.total(rows) for m in (c.N_TOTAL, c.N_WINS, c.N_DRAWS, c.N_WINS_BASE)] == [8, 3, 2, 2]


def test_consistency_leaves_out_failures_and_equal_texts():
    rows = [
        preference(0.5, inconsistent=True),
        preference(1.0),
        preference(None),
        preference(0.5, identical=True),
    ]
    assert c.CONSISTENCY.values(rows) == [0, 1, None, None]
    assert c.N_INCONSISTENT.total(rows) == 1


def test_repair_and_damage_are_of_corrected_answers():
    rows = [
        response(False, True),
        response(False, False),
        response(False, None, status="error"),
        response(True, True),
        response(True, False),
        response(None, True, upstream=None),
    ]
    assert s.REPAIR.values(rows) == [1, 0, 0, None, None, None]
    assert s.DAMAGE.values(rows) == [None, None, None, 0, 1, None]
    assert s.REPAIR.optional(s.REPAIR.of_rows(rows)).value == pytest.approx(1 / 3)
    assert s.DAMAGE.optional([]) is None
    assert (s.N_REPAIRED.total(rows), s.N_DAMAGED.total(rows)) == (1, 1)


def test_families_widen_the_interval():
    values = [0.0, 0.0, 1.0, 1.0] * 4
    alone = c.WEIGHTED.number(values, [f"p{i}" for i in range(16)])
    paired = c.WEIGHTED.number(values, [f"f{i // 2}" for i in range(16)])
    assert alone.method == "t"
    assert paired.method == "cluster t"
    assert paired.upper - paired.lower > alone.upper - alone.lower


def test_a_measure_without_values_per_prompt_says_so():
    with pytest.raises(ValueError, match="'macro' has no value per prompt"):
        c.MACRO.of_rows([])


def test_claims_name_function_table_and_condition():
    made = claims({"systems": [{"suite": "a]b", "system": "x.y", "repair": {"value": 0.5}}], "level": 0.95})
    assert made[2].path == "systems[suite=a]b,system=x.y].repair.value"
    assert made[2].query == (
        "wilson(wrong made right, wrong) over responses where suite = 'a]b' and system = 'x.y'"
    )
    assert made[3].query == "results.compute: level"


def test_the_schema_describes_fields_by_their_measures():
    fields = Results.model_json_schema()["$defs"]["Comparison"]["properties"]
    assert fields["mde"]["description"] == c.MDE.definition


def test_the_page_of_numbers_is_up_to_date():
    assert (ROOT / "docs" / "numbers.md").read_text("utf-8") == page(), (
        "run: python -m aligner_bench.results.numbers_page docs/numbers.md"
    )
