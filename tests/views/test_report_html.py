# ruff: noqa: E501
import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import pytest
from hostile_payloads import payloads
from report_fixture import demo, large, make_answers, make_results, manifest

from aligner_bench.results.schema import Results
from aligner_bench.views import formats
from aligner_bench.views.report import render, write_report


class Page(HTMLParser):
    """Elements, attributes and ids of a page, and the text of its scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.raw, self._inside = [], [], {}, None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, *pair) for pair in attrs)
        self._inside = (tag, dict(attrs).get("type")) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.raw[self._inside] = self.raw.get(self._inside, "") + data

    def ids(self):
        return [value for _, name, value in self.attributes if name == "id"]


@pytest.fixture(scope="module")
def data():
    return demo()


@pytest.fixture(scope="module")
def html(data):
    return render(*data)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def unpacked(html):
    block = re.search(r'<script type="application/octet-stream" id="payload">([^<]*)</script>', html)[1]
    return json.loads(zlib.decompress(base64.b64decode(block)))


def test_the_policy_allows_only_this_style_and_this_script(page):
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and name == "content")
    assert policy.startswith("default-src 'none'; ")
    for part in (("style", None), ("script", None)):
        digest = base64.b64encode(hashlib.sha256(page.raw[part].encode()).digest()).decode()
        assert f"{part[0]}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_nothing_in_the_page_loads_or_runs_by_attribute(page):
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("style", "src", "srcset", "srcdoc", "action", "formaction"), (tag, name)
        if name == "href":
            assert value.startswith("#") or (tag, value) == ("link", "data:,")
    assert not re.search(r"url\(|@import", page.raw["style", None])


def test_ids_are_unique_and_references_to_them_hold(page):
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for _, name, value in page.attributes:
        if name == "aria-labelledby":
            assert set(value.split()) <= set(ids)
        if name == "href" and value != "data:,":
            assert value[1:] in ids


def test_the_same_input_gives_the_same_bytes(data, html):
    assert render(*data) == html


def test_every_rate_of_every_row_stands_in_the_page_with_its_interval(data, html):
    for row in data[0].rows:
        for name, number in row.rates.items():
            unit = "" if name == "omega" else "%"
            shown = formats.decimal(number.value) if name == "omega" else formats.percent(number.value)
            assert f"{shown}<small>{formats.interval(number, unit)}</small>" in html or number.value is None


def test_headline_warnings_definitions_and_sentences_are_readable_without_a_script(data, html):
    results = data[0]
    plain = html[: html.index('id="answers"')]
    for line in [*results.headline, *results.warnings, *results.definitions.values()]:
        assert line in plain
    for line in [row.sentence for row in results.rows] + [judge.sentence for judge in results.judges]:
        assert line in plain


def test_judges_without_power_come_after_those_with_power_and_cannot_be_sorted(html):
    first_suite = html[html.index("quick-facts</h3>") : html.index("synthetic-3h</h3>")]
    cards = re.findall(
        r'<div class="card board( powerless)?">.*?<table class="data( sortable)?">', first_suite, re.S
    )
    assert cards == [("", " sortable"), ("", " sortable"), (" powerless", "")]


def test_controls_stand_apart_from_contenders(html):
    board = html[html.index('class="card board') :]
    contenders, controls = board[: board.index("</tbody>")], board[board.index('<tbody class="controls">') :]
    assert ">squad" in contenders
    assert ">identity" not in contenders
    assert "all ties, as expected" in controls[: controls.index("</tbody>")]


def test_a_control_that_fails_is_an_alarm(data):
    results = data[0].model_copy(deep=True)
    row = next(r for r in results.rows if r.system == "identity" and r.judge == "facts")
    row.n_wins, row.n_draws = 3, row.n_draws - 3
    assert render(results, [], {}).count(">alarm<") == render(*data).count(">alarm<") + 1


def test_imported_verdicts_are_set_apart_as_not_audited_rather_than_powerless(data):
    raw = json.loads(data[0].model_dump_json())
    for power in raw["judges"]:
        if power["judge"] == "one-letter":
            power |= {"kind": "imported", "accuracy": None}
    for row in raw["rows"]:
        if row["judge"] == "one-letter":
            row["conclusion"] = "not_audited"
    html = render(Results.model_validate(raw), [], {})
    assert "not audited here</span>" in html
    assert "no discriminating power</span>" not in html
    assert '<span class="chip not_audited">not audited</span>' in html


def test_copies_of_another_systems_answers_are_counted_in_the_page(data):
    copies = [
        {
            "suite": "quick-facts",
            "system": "squad",
            "reference": "base",
            "identical": 7,
            "prefix_sharing": 9,
            "n": 48,
        }
    ]
    raw = json.loads(data[0].model_dump_json()) | {"copies": copies}
    row = re.search(r"<td>squad</td><td>base</td>.*", render(Results.model_validate(raw), [], {}))[0]
    assert re.findall(r">(\d+)<", row) == ["7", "9", "48"]


def test_categories_too_small_to_read_start_folded(data):
    few = make_results({"s": (12, tuple("abcd"))}, {"j": True}, ("base", "squad"))
    assert "too few for a conclusion about one category" in render(few, [], {})
    assert "too few for a conclusion about one category" not in render(data[0], [], {})


def test_a_table_draws_its_bars_on_a_scale_that_holds_every_interval(data, html):
    labels = re.findall(r'class="bar-head"[^>]*>(\d+) · 50 · (\d+) %', html)
    for low, high in labels:
        assert int(low) + int(high) == 100
    narrow = data[0].model_copy(deep=True)
    for row in narrow.rows:
        for rate in row.rates.values():
            rate.value, rate.lower, rate.upper = 0.51, 0.46, 0.54
    assert "45 · 50 · 55 %" in render(narrow, [], {})


def test_relevant_categories_come_first_and_ties_are_written():
    results, _, _ = large(140)
    html = render(results, [], {})
    chart = html[html.index('id="cat-0-0-0-w-t"') :]
    headings = re.findall(r'<text class="heading"[^>]*>([^<]+)', chart[: chart.index("</svg>")])
    relevant = [name.split(",")[0].split("_")[0] for name in results.suites[0].relevant]
    assert [heading.split(",")[0].split("_")[0] for heading in headings if "_" in heading or "," in heading][
        :1
    ] == relevant[:1]
    assert chart.count("relevant</text>") >= 3
    assert re.search(r"n \d+, \d+ ties", chart)


def test_charts_have_title_description_and_axis_label(html):
    charts = re.findall(r'<svg class="chart (?:wide|narrow)".*?</svg>', html, re.S)
    assert len(charts) > 10
    for chart in charts:
        assert "<title id=" in chart
        assert "<desc id=" in chart
        assert 'class="axis"' in chart or "equal bins" in chart


def test_a_matrix_is_shown_only_with_several_baselines(html):
    assert 'id="matrix"' not in html
    assert 'id="matrix"' in render(large(14)[0], [], {})


def test_the_payload_holds_every_text_as_it_was(data, html):
    packed, answers = unpacked(html), data[1]
    assert len(packed["prompts"]) == len(answers)
    for row, prompt in zip(answers, packed["prompts"], strict=True):
        assert packed["texts"][prompt["prompt"]] == row["prompt"]
        for answer in prompt["answers"]:
            original = row["systems"][answer["system"]]
            assert packed["texts"][answer["text"]] == original["text"]
            assert (
                answer.get("upstream") is None or packed["texts"][answer["upstream"]] == original["upstream"]
            )
            assert [packed["texts"][s["text"]] for s in answer["steps"]] == [
                s["text"] for s in original["trace"]
            ]


def test_upstream_correctness_comes_from_the_plain_system(html, data):
    packed = unpacked(html)
    for row, prompt in zip(data[1], packed["prompts"], strict=True):
        squad = next(answer for answer in prompt["answers"] if answer["system"] == "squad")
        assert squad["upstream_correct"] == row["systems"]["base"]["correct"]


def test_the_demo_stays_under_one_and_a_half_megabytes_and_the_large_run_under_three(html):
    assert len(html.encode()) < 1_500_000
    results, _, _ = large(700)
    answers = make_answers(results, length=110)
    assert len(render(results, answers, manifest()).encode()) < 3_000_000


def everywhere(text):
    """Results, answers and a manifest with a hostile text in every place that holds text."""
    results = make_results({"s": (6, ("c",))}, {"j": True}, ("base", "squad"))
    raw = json.loads(results.model_dump_json())
    raw["headline"], raw["warnings"], raw["definitions"] = [text], [text], {"discrete": text, "strict": text}
    raw["experiment"] = raw["suites"][0]["source"] = raw["judges"][0]["sentence"] = text
    for row in raw["rows"]:
        row["system"] = row["sentence"] = row["by_category"][0]["category"] = text
        row["failures"] = {text: 1}
    raw["suites"][0]["categories"] = raw["suites"][0]["relevant"] = [text]
    for row in raw["systems"]:
        row["system"] = text if row["system"] == "squad" else "base"
    for state in raw["trajectories"]:
        state["system"] = state["inspector"] = text
    return Results.model_validate(raw), {text or "empty": text, "deep": [{"x": [text]}]}


@pytest.fixture(scope="module")
def harmless():
    return Page(render(*parts("plain")))


@pytest.mark.parametrize("text", [p for p in payloads() if len(p) < 10_000])
def test_no_hostile_text_adds_an_element_or_an_attribute(text, harmless):
    hostile = Page(render(*parts(text)))
    assert set(hostile.tags) <= set(harmless.tags) | {"pre", "tspan"}
    assert {name for _, name, _ in hostile.attributes} == {name for _, name, _ in harmless.attributes}
    assert len(hostile.tags) - len(harmless.tags) < 40  # wrapped labels only


def parts(text):
    results, notes = everywhere(text)
    return results, [], notes


def test_a_page_full_of_unencodable_text_can_be_written(tmp_path):
    results, notes = everywhere("\ud800 \x00 \u202e")
    answers = [{
        "suite": "s", "prompt_id": "\udfff", "category": "\ud800", "criterion": None, "prompt": "\x00", "references": ["\ud800"],
        "systems": {"\ud800": {"text": "\udc00", "upstream": "\ud800", "status": "ok", "finish_reason": None, "correct": None, "trace": []}},
        "verdicts": [],
    }]  # fmt: skip
    path = tmp_path / "deep" / "report.html"
    write_report(results, answers, notes, path)
    text = path.read_text(encoding="utf-8")
    assert "⟦U+D800⟧ ⟦U+0000⟧ ⟦U+202E⟧" in text
    assert unpacked(text)["texts"] == ["\x00", "\ud800", "\udc00"]


def test_empty_results_render_and_say_that_nothing_can_be_said():
    empty = Results(
        experiment="none", experiment_hash="0" * 64, scale="smoke", suites=[], judges=[], inspectors=[], systems=[],
        rows=[], trajectories=[], headline=[], warnings=[], definitions={},
    )  # fmt: skip
    html = render(empty, [], {})
    assert "No conclusion: these rows hold no comparison." in html
    assert "Smoke run." in html


def test_a_failed_write_leaves_the_old_report(tmp_path, data):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(KeyError):
        write_report(data[0], [{"suite": "s"}], {}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "old"


def test_numbers_without_a_value_are_dashes_and_minus_signs_are_true():
    assert formats.percent(None) == "–"
    assert formats.decimal(-0.001) == "0.00"
    assert formats.decimal(-0.25) == "−0.25"
    assert formats.p_value(0.0001).startswith("<")
    assert formats.count(12345) == "12\u202f345"
