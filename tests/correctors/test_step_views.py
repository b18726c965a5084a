"""The page's sections on steps and rewrites: the numbers of the results, escaped, readable without colour."""

from __future__ import annotations

import re
import shutil

import pytest

from aligner_bench.correctors.base import correct
from tests.correctors.handmade import make_run, prompt_rows, response_rows, verdict_rows
from tests.correctors.toys import Tables, items, squad

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(tmp_path):
    """Forty answers: ``a`` lifts its own score and b's, one aligner has a hostile name."""
    names = ["a", HOSTILE]
    scores = {name: {} for name in names}
    moves = {name: {} for name in names}
    for i in range(40):
        before, after = f"answer {i}", f"answer {i} and more"
        moves["a"][before] = after
        scores["a"] |= {before: 0.2, after: 0.6 + i / 200}
        scores[HOSTILE] |= {before: 0.6, after: 0.7 + i / 400}
    given = items(list(moves["a"]), categories=["law", "art"] * 30)
    answers = correct(squad(names), given, Tables(scores, moves))
    plain = response_rows("base", "upstream", given, [item.answer for item in given], upstream=False)
    rows = [*plain, *response_rows("squad", "squad", given, answers)]
    run = make_run(
        tmp_path / "run", prompt_rows(given), rows, verdict_rows(given, "squad", "base", [1.0, 0.0] * 20)
    )
    return run, (run.path / "report.html").read_text()


def section(html, name):
    found = re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    assert found, name
    return found[0]


def test_the_sections_show_the_numbers_of_the_results(page):
    run, html = page
    results, steps, anatomy = run.results(), section(html, "steps"), section(html, "anatomy")
    effect = next(cell for cell in results.effects if (cell.actor, cell.inspector) == ("a", "a"))
    assert f"<b>{effect.change.value:.2f}</b>" in steps
    assert "raises, own score" in steps
    assert "synergy" in steps
    assert f"a &gt; {HOSTILE.replace('<', '&lt;').replace('>', '&gt;')}" in steps
    assert "the largest rise" in steps
    assert "up to 0.1" not in anatomy  # two tokens added to two: the edit ratio is 1
    assert "0.6 to 1" in anatomy
    assert "Across the thresholds" in anatomy
    assert "Against the upstream" in anatomy
    assert "law" in anatomy


def test_no_name_becomes_markup(page):
    _, html = page
    assert HOSTILE not in html


def test_charts_have_words_for_those_who_do_not_see_them(page):
    _, html = page
    charts = re.findall(r'<svg class="chart (?:wide|narrow)".*?</svg>', section(html, "steps"), re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        assert 'role="img"' in chart
        assert "<title" in chart
        assert re.search(r"<desc[^>]*>p0, the largest rise|<desc[^>]*>p\d+, ", chart)
        assert chart.count('class="ref"') >= 2  # the threshold, in the legend and in each panel


def test_a_run_without_correctors_has_neither_section(tmp_path):
    given = items(["x"])
    rows = response_rows("base", "upstream", given, [item.answer for item in given], upstream=False)
    for row in rows:
        row["trace"] = "[]"
    html = (make_run(tmp_path / "run", prompt_rows(given), rows).path / "report.html").read_text()
    assert '<section id="steps"' not in html
    assert '<section id="anatomy"' not in html


@pytest.mark.slow
def test_in_a_browser_nothing_overflows_and_nothing_fails(page):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no chromium on this machine")
    run, _ = page
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for width, scheme in ((1280, "light"), (380, "dark")):
            tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            faults: list[str] = []
            tab.on("pageerror", lambda error, kept=faults: kept.append(str(error)))
            tab.goto((run.path / "report.html").as_uri())
            tab.wait_for_selector("html[data-ready=answers]")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.locator("#steps svg.chart:visible").count() == 1
            assert tab.locator(".meter i").count() > 0
            assert faults == []
        browser.close()
