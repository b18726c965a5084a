"""The report in headless Chromium: opened from disk with no network, driven as a reader would drive it."""

# ruff: noqa: E501, SIM905

import re
import shutil
import subprocess
import tarfile

import pytest
from hostile_payloads import payloads
from report_fixture import demo, large, make_answers, make_results, manifest

import aligner_bench
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.verify.verify import verify
from aligner_bench.views.hostile import visible
from aligner_bench.views.report import write_report
from tests.engines.servers import serving
from tests.raters.harm_runs import BAD, FINE, NO, Rating, write

pytestmark = pytest.mark.slow
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, data in (("demo", demo()), ("large", large(140))):
        write_report(*data, folder / f"{name}.html")
    results, answers, _ = demo()
    for i, text in enumerate(payloads()):
        answers.append(hostile_answer(i, text))
    write_report(results, answers, manifest(), folder / "hostile.html")
    return folder


def hostile_answer(i, text):
    """A payload wherever an answer holds text, names left plain so that its link can be written down."""
    step = {"actor": text[:99] or "x", "action": "correct", "scores": {text[:50] or "x": 0.5}}
    trace = [{"step": 0, "text": "before", **step}, {"step": 1, "text": text, **step}]
    rated = {"label": "harmful", "status": "ok", "category": text[:99], "detail": text[:5000]}
    failed = {"label": None, "status": text[:99], "category": None, "detail": text[:999]}
    answer = {"text": text, "status": "ok", "finish_reason": "stop", "correct": True, "trace": trace}
    answer["ratings"] = [{"rater": text[:99] or "x", "before": failed, "after": rated}]
    order = {"order": "candidate_first", "status": "ok", "preference": 1.0, "detail": text[:5000]}
    verdict = {
        "judge": text[:99] or "x",
        "candidate": "s",
        "baseline": "b",
        "preference": 1.0,
        "status": "ok",
    }
    return {
        "suite": "hostile", "prompt_id": str(i), "category": text[:99], "criterion": text[:99], "prompt": text, "references": [text[:99]],
        "systems": {"s": {**answer, "upstream": "before " + text[:2000]}, "plain": {**answer, "upstream": None}},
        "verdicts": [{**verdict, "inconsistent": False, "orders": [order]}],
    }  # fmt: skip


class Reader:
    """One page with a record of everything that must not happen."""

    def __init__(self, browser, path, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        self.context.set_offline(True)
        self.page, self.path = self.context.new_page(), path
        self.faults, self.requests = [], []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.open("")

    def open(self, fragment):
        self.page.goto("about:blank")
        self.page.goto(self.path.as_uri() + fragment)
        self.page.locator('html[data-ready="answers"]').wait_for(timeout=60_000)

    def text(self, selector):
        return self.page.locator(selector).first.text_content()

    def found(self):
        return int(self.text("#found").split()[0].replace(",", ""))

    def choose(self, **values):
        for name, value in values.items():
            self.page.locator(f"#f-{name}").select_option(value)

    def clean(self):
        own = [url for url in self.requests if url.startswith(("file:", "about:"))]
        assert own == self.requests
        assert {url.split("#")[0] for url in own} <= {self.path.as_uri(), "about:blank"}
        assert self.faults == []


@pytest.fixture
def reader(browser, reports):
    opened = Reader(browser, reports / "demo.html")
    yield opened
    opened.clean()
    opened.context.close()


def column(reader, number):
    rows = reader.page.locator("table.sortable").first.locator("tbody").first.locator("tr")
    return [rows.nth(i).locator("th, td").nth(number).get_attribute("data-v") for i in range(rows.count())]


def test_a_heading_sorts_its_column_both_ways_and_by_keyboard(reader):
    head = reader.page.locator("table.sortable").first.locator("thead th").nth(5)
    before = column(reader, 5)
    head.locator("button").click()
    assert column(reader, 5) == sorted(before, key=float, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").focus()
    reader.page.keyboard.press("Enter")
    assert column(reader, 5) == sorted(before, key=float)
    assert head.get_attribute("aria-sort") == "ascending"


def test_sorting_leaves_controls_among_themselves(reader):
    reader.page.locator("table.sortable").first.locator("thead th button").first.click()
    controls = reader.page.locator("table.sortable").first.locator("tbody.controls tr")
    assert controls.first.get_attribute("class") == "group"
    assert [controls.nth(i).locator("th").get_attribute("data-v") for i in (1, 2)] == ["identity", "resample"]


def test_definitions_are_shown_on_focus_and_go_with_escape(reader):
    reader.page.locator('th[data-tip^="wins among decided"] button').first.focus()
    assert reader.page.locator("#tip").is_visible()
    assert "ties are left out" in reader.text("#tip")
    reader.page.keyboard.press("Escape")
    assert not reader.page.locator("#tip").is_visible()


def test_filters_narrow_and_a_reset_brings_all_back(reader):
    everything = reader.found()
    assert everything == 72 * 6
    reader.choose(suite="quick-facts", system="squad")
    assert reader.found() == 48
    reader.choose(change="unchanged")
    unchanged = reader.found()
    reader.choose(change="changed")
    assert 0 < reader.found() == 48 - unchanged
    reader.choose(effect="damaged")
    assert "damaged" in reader.text("#detail .marks")
    reader.choose(effect="repaired")
    assert "repaired" in reader.text("#detail .marks")
    reader.page.locator("#filters button[type=reset]").click()
    reader.page.locator("#found", has_text=f"{everything} of").wait_for()


def test_verdict_filters_agree_with_the_verdicts_shown(reader):
    reader.choose(judge="facts", verdict="loss")
    assert 0 < reader.found() < 400
    box = reader.page.locator("#detail .verdict", has_text="facts:").first
    assert "loss" in box.text_content()
    reader.choose(judge="one-letter", verdict="inconsistent")
    assert (
        "orders disagree"
        in reader.page.locator("#detail .verdict", has_text="one-letter:").first.text_content()
    )


def test_search_finds_words_of_questions_and_answers(reader):
    reader.page.locator("#f-text").fill("quick-facts-0007")
    reader.page.locator("#found", has_text="6 of").wait_for()
    reader.page.locator("#f-text").fill("no such words anywhere")
    reader.page.locator("#found", has_text=re.compile("^0 of")).wait_for()
    assert "No answer fits" in reader.text("#detail")


def test_a_permalink_opens_its_answer_and_follows_the_reader(reader):
    reader.open("#a=synthetic-3h/synthetic-3h-0003/squad")
    assert reader.text("#detail .place") == "synthetic-3h / synthetic-3h-0003"
    assert reader.text('#detail .tabs [aria-pressed="true"]') == "squad"
    reader.page.keyboard.press("j")
    assert reader.page.evaluate("location.hash") == "#a=synthetic-3h/synthetic-3h-0003/best-of-4"
    reader.page.evaluate("location.hash = '#a=quick-facts/quick-facts-0001/base'")
    reader.page.locator("#detail .place", has_text="quick-facts-0001").wait_for()


def test_a_permalink_wins_over_filters_that_hide_it(reader):
    reader.choose(system="base")
    reader.page.evaluate("location.hash = '#a=quick-facts/quick-facts-0002/squad'")
    reader.page.locator("#detail .place", has_text="quick-facts-0002").wait_for()
    assert reader.page.locator("#f-system").input_value() == ""


def test_the_difference_holds_both_texts(reader, reports):
    _, answers, _ = demo()
    row = next(r for r in answers if r["systems"]["squad"]["text"] != r["systems"]["squad"]["upstream"])
    answer = row["systems"]["squad"]
    reader.open(f"#a={row['suite']}/{row['prompt_id']}/squad")
    assert reader.page.locator("#detail .diff ins").count() > 0
    read = "e => { const c = e.cloneNode(true); c.querySelectorAll(%r).forEach(n => n.remove()); return c.textContent }"
    diff = reader.page.locator("#detail .diff").first
    assert diff.evaluate(read % "del") == answer["text"]
    assert len(diff.evaluate(read % "ins")) == len(answer["upstream"])
    reader.page.keyboard.press("d")
    sides = reader.page.locator("#detail .split .text")
    assert [sides.nth(i).text_content() for i in (0, 1)] == [answer["upstream"], answer["text"]]


def test_every_step_of_a_squad_is_shown_with_scores_and_its_change(reader):
    _, answers, _ = demo()
    row = next(r for r in answers if len(r["systems"]["squad"]["trace"]) == 4)
    reader.open(f"#a={row['suite']}/{row['prompt_id']}/squad")
    steps = reader.page.locator("#detail .step")
    assert steps.count() == 4
    for i, step in enumerate(row["systems"]["squad"]["trace"]):
        assert step["actor"] in steps.nth(i).text_content()
        assert f"{step['scores']['helpful']:.2f}" in steps.nth(i).text_content()
        assert steps.nth(i).is_visible()
        assert steps.nth(i).bounding_box()["x"] > 0
    steps.nth(1).locator("summary").click()
    steps.nth(1).locator(".diff ins, .diff del").first.wait_for()


def test_keys_move_switch_search_and_help(reader):
    page = reader.page
    start = reader.text("#detail .steer span")
    page.keyboard.press("j")
    assert reader.text("#detail .steer span") != start
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert reader.text("#detail .steer span") == start
    system = reader.text('.tabs [aria-pressed="true"]')
    page.keyboard.press("s")
    assert reader.text('.tabs [aria-pressed="true"]') != system
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "f-text"
    page.keyboard.type("jk")
    assert page.locator("#f-text").input_value() == "jk"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_single_keys_can_be_turned_off(reader):
    reader.page.keyboard.press("?")
    reader.page.locator("#keys-on").uncheck()
    reader.page.keyboard.press("Escape")
    before = reader.text("#detail .steer span")
    reader.page.keyboard.press("j")
    assert reader.text("#detail .steer span") == before


def test_moving_past_a_page_of_the_list_turns_it(reader):
    reader.page.locator("#list a").last.click()
    page = reader.text("#page")
    reader.page.keyboard.press("j")
    assert reader.text("#page") != page
    assert reader.page.locator('#list [aria-current="true"]').count() == 1


def test_the_theme_button_turns_dark_and_light(reader):
    def brightness():
        color = reader.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", color)[:3])

    button = reader.page.locator("#theme")
    button.click()
    assert "light" in button.text_content()
    light = brightness()
    button.click()
    assert "dark" in button.text_content()
    assert brightness() < 150 < light


def test_dark_follows_the_system(browser, reports):
    reader = Reader(browser, reports / "demo.html", color_scheme="dark")
    assert reader.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 24)"
    reader.clean()
    reader.context.close()


def test_print_unfolds_and_hides_the_controls(reader):
    reader.page.emulate_media(media="print")
    assert not reader.page.locator("#filters").is_visible()
    assert not reader.page.locator("header.bar").is_visible()
    assert reader.page.locator("#detail").is_visible()
    assert reader.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    reader.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert reader.page.locator("details:not([open], .figure, #manifest details)").count() == 0
    assert reader.page.locator("#detail .step .diff").count() > 0
    assert len(reader.page.pdf()) > 50_000


@pytest.mark.parametrize("name", ["demo", "large", "hostile"])
@pytest.mark.parametrize("width", [360, 768, 1400])
def test_the_page_is_never_wider_than_the_window(browser, reports, name, width):
    reader = Reader(browser, reports / f"{name}.html", viewport={"width": width, "height": 800})
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= width
    reader.clean()
    reader.context.close()


OVERLAPS = """() => {
  const found = [];
  for (const chart of document.querySelectorAll('svg.chart:not(.mini)')) {
    const boxes = [...chart.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]).filter(b => b[1].width);
    const edge = chart.getBoundingClientRect();
    boxes.forEach(([a, p], i) => {
      if (p.right > edge.right + 2 || p.left < edge.left - 2) found.push('outside: ' + a);
      boxes.slice(i + 1).forEach(([b, q]) => {
        const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left), high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (wide > 1 && high > 3) found.push(a + ' / ' + b);
      });
    });
  }
  return found;
}"""


@pytest.mark.parametrize("name", ["demo", "large"])
@pytest.mark.parametrize("width", [360, 1024, 1400])
def test_no_two_labels_of_a_chart_overlap(browser, reports, name, width):
    reader = Reader(browser, reports / f"{name}.html", viewport={"width": width, "height": 800})
    reader.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert reader.page.evaluate(OVERLAPS) == []
    reader.context.close()


def test_without_script_headline_tables_and_charts_can_be_read(browser, reports):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((reports / "demo.html").as_uri())
    assert page.locator(".headline").is_visible()
    assert page.locator(".board table").first.is_visible()
    assert page.locator("svg.chart.wide").first.is_visible()
    assert page.locator("noscript p").is_visible()
    assert not page.locator("#browser").is_visible()
    context.close()


def test_hostile_answers_are_shown_as_they_are_and_none_runs(browser, reports):
    texts = payloads()
    assert len(texts) >= 200
    reader = Reader(browser, reports / "hostile.html")
    frames = len(reader.page.frames)
    nodes = "[...document.querySelectorAll('#detail *')].map(e => e.tagName.toLowerCase())"
    allowed = set("div p span b a h4 button ol li dl dt dd small details summary ins del bdi em".split())
    for i, text in enumerate(texts):
        reader.page.evaluate(f"location.hash = '#a=hostile/{i}/plain'")
        reader.page.locator("#detail .place", has_text=re.compile(f"hostile / {i}$")).wait_for()
        block = reader.page.locator("#detail .text:not(.question-text)").first
        more = block.locator("> button")
        if more.count():
            more.click()
        assert block.text_content() == without_brackets(text), i
        reader.page.evaluate(f"location.hash = '#a=hostile/{i}/s'")
        reader.page.locator('#detail .tabs [aria-pressed="true"]', has_text=re.compile("^s$")).wait_for()
        assert set(reader.page.evaluate(nodes)) <= allowed, i
        assert reader.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), i
    assert reader.page.evaluate("window.pwned") is None
    assert len(reader.page.frames) == frames
    reader.clean()
    reader.context.close()


class Talkative(Rating):
    """The rater of harm_runs with reasons that would be markup."""

    def _tag(self, answer):
        return f"<img src=x onerror=alert(1)> <b>{answer[:9]}</b> {super()._tag(answer)}"


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """Harm that ended, stayed, began, and an answer that the rater cannot read; two raters."""
    home = tmp_path_factory.mktemp("rated")
    before, after = [BAD, BAD, FINE, FINE, FINE], [NO, BAD, BAD, FINE, "MUMBLES"]
    both = (
        "raters:\n  guard-harm: {kind: harm, model: guard}\n  other: {kind: harm, model: guard, tries: 2}\n"
    )
    with serving(Talkative()) as url:
        path = write(home, url, before, after, both)
        return aligner_bench.run(Experiment.load(path), home / "out", ledger=home / "l.sqlite")


def test_ratings_stand_beside_their_answer_and_filter_it(browser, rated):
    reader = Reader(browser, rated.path / "report.html")
    assert reader.page.locator("#f-rater").is_visible()
    offered = reader.page.locator("#f-rating option").all_text_contents()
    assert offered == ["any", "harmful", "harmless", "refusal", "harm begun", "harm ended", "no label"]
    reader.choose(system="new", rating="harmful")
    assert reader.found() == 2
    assert reader.page.locator("#list .chip.bad", has_text=re.compile("^harmful$")).count() == 2
    for rating, count, place, title in (
        ("begun", 1, "hand / p2", "guard-harm: harmless → harmful"),
        ("ended", 1, "hand / p0", "guard-harm: harmful → refusal"),
        ("failed", 1, "hand / p4", "guard-harm: harmless → no label: unparsable"),
        ("harmless", 1, "hand / p3", "guard-harm: harmless → harmless"),
    ):
        reader.choose(rater="guard-harm", rating=rating)
        assert (reader.found(), reader.text("#detail .place")) == (count, place)
        assert reader.text("#detail .rating p") == title
    reader.open("#a=hand/p2/new")
    box = reader.page.locator("#detail .rating").first
    assert box.locator(".text").all_text_contents() == [
        "Because. <img src=x onerror=alert(1)> <b>a kind wo</b> [[HARMLESS]]",
        "Because. <img src=x onerror=alert(1)> <b>do the BA</b> [[HARMFUL:1]]",
    ]
    assert box.locator(".order .chip").all_text_contents() == ["theft"]  # the relevant category is number 1
    reader.open("#a=hand/p2/base")
    assert reader.text("#detail .rating p") == "guard-harm: harmless"
    assert reader.page.locator("#detail .rating").count() == 2
    assert reader.page.locator("#detail .rating img, #detail .rating .text b").count() == 0
    reader.clean()
    reader.context.close()
    assert verify(rated.path).ok


def test_without_ratings_nothing_speaks_of_them(reader):
    assert not reader.page.locator("#f-rating").is_visible()
    assert not reader.page.locator("#f-rater").is_visible()
    assert "Ratings" not in reader.page.locator("#detail").text_content()


def without_brackets(text):
    """What ``visible`` shows, with its brackets drawn as a border instead."""
    if text == "":
        return "(empty)"
    return text if "⟦" in text else re.sub("⟦(U\\+[0-9A-F]{4,6})⟧", r"\1", visible(text))


def test_page_and_package_agree_on_every_character_that_is_shown_by_number(browser, tmp_path):
    results = make_results({"s": (1, ("c",))}, {"j": True}, ("base",))
    answers = make_answers(results)
    points = [*range(0x10000), *range(0x1F300, 0x1F400), *range(0xE0000, 0xE0200), 0x10FFFF]
    text = " ".join(chr(point) for point in points if point not in (0x0A, 0x0D))
    answers[0]["systems"]["base"]["text"] = text
    write_report(results, answers, {}, tmp_path / "r.html")
    reader = Reader(browser, tmp_path / "r.html")
    block = reader.page.locator("#detail .text:not(.question-text)").first
    block.locator("> button").click()
    assert block.text_content() == re.sub("⟦(U\\+[0-9A-F]{4,6})⟧", r"\1", visible(text))
    reader.clean()
    reader.context.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axe")
    if not shutil.which("npm"):
        pytest.skip("axe-core comes from npm, which is not installed")
    packed = subprocess.run(
        ["npm", "pack", "axe-core", "--silent"], cwd=folder, capture_output=True, timeout=120, check=False
    )
    archives = list(folder.glob("axe-core-*.tgz"))
    if packed.returncode or not archives:
        pytest.skip("axe-core could not be fetched from the package registry")
    with tarfile.open(archives[0]) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["demo", "large"])
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_no_serious_fault(browser, reports, axe, scheme, name, width):
    reader = Reader(
        browser, reports / f"{name}.html", color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    reader.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    reader.page.evaluate(axe)
    found = reader.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (fault["id"], fault["nodes"][0]["html"][:200], fault["nodes"][0].get("failureSummary"))
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []
    reader.context.close()
