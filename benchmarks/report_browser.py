"""Time to the first use of the report: 700 and 5,000 prompts x 4 systems x 2 judges, headless Chromium.

The clock starts at the page's navigation and stops when the browser has painted the second answer, that is,
after the answers were unpacked, a key was pressed and its effect drawn. The texts are generated (about 110
words per answer), the sizes are those of the largest suites. Also measured: size of the file, time to
render it, time to search all answers. There is no rival: no other harness writes answers into one file.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import arguments, finish, spread

from aligner_bench.views.report import write_report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "views"))

CASES = {700: (1.0, 3.0), 5000: (3.0, None)}
"""Prompts -> goals: seconds to the first interaction, megabytes of the file."""
MOVE = """() => new Promise(done => {
  document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() / 1000)));
})"""
SEARCH = """() => new Promise(done => {
  const field = document.getElementById('f-text'), found = document.getElementById('found');
  const start = performance.now();
  new MutationObserver(() => done((performance.now() - start) / 1000)).observe(found, {childList: true});
  field.value = 'honest sentence';
  field.dispatchEvent(new Event('input', {bubbles: true}));
})"""


def build(prompts: int, path: Path) -> float:
    """Write a report of generated answers; return the rendering time in seconds."""
    from report_fixture import large, make_answers, manifest

    results = large(prompts - prompts % 14)[0]
    results.suites[0].n = prompts
    answers = make_answers(results, length=110)
    start = time.perf_counter()
    write_report(results, answers, manifest(), path)
    return time.perf_counter() - start


def visit(browser: Any, path: Path) -> tuple[float, float]:
    """Return seconds from navigation to the first painted interaction, and of one search over all answers."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(path.as_uri())
    page.locator('html[data-ready="answers"]').wait_for(timeout=120_000)
    used, searched = page.evaluate(MOVE), page.evaluate(SEARCH)
    page.close()
    return float(used), float(searched)


def measure(browser: Any, prompts: int, folder: Path, rounds: int) -> dict[str, Any]:
    """Return one row of the result."""
    path = folder / f"report-{prompts}.html"
    rendered = build(prompts, path)
    visit(browser, path)
    visits = [visit(browser, path) for _ in range(rounds)]
    seconds, megabytes = spread([used for used, _ in visits]), path.stat().st_size / 1e6
    goal, most = CASES[prompts]
    return {
        "name": f"report_browser_{prompts}",
        "what": "seconds from navigation to the first painted interaction",
        "ours": round(seconds["median"], 3),
        "spread": [round(seconds["min"], 3), round(seconds["max"], 3)],
        "rival": None,
        "ratio": None,
        "goal": goal,
        "megabytes": round(megabytes, 2),
        "goal_megabytes": most,
        "search_seconds": round(spread([searched for _, searched in visits])["median"], 3),
        "render_seconds": round(rendered, 2),
        "rounds": rounds,
        "ok": seconds["median"] <= goal and (most is None or megabytes <= most),
    }


def main() -> None:
    """Measure both sizes; --quick visits each page twice instead of seven times."""
    options = arguments(__doc__ or "")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("report_browser needs chromium, which is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        rows = [measure(browser, n, Path(folder), 2 if options.quick else 7) for n in CASES]
        browser.close()
    print(f"{'page':22}{'first use s':>12}{'goal s':>8}{'search s':>10}{'file MB':>9}{'render s':>10}")
    for row in rows:
        cells = (row["ours"], row["goal"], row["search_seconds"], row["megabytes"], row["render_seconds"])
        print(
            f"{row['name']:22}" + "".join(f"{c:>{w}}" for c, w in zip(cells, (12, 8, 10, 9, 10), strict=True))
        )
    finish("report_browser", rows, options)


if __name__ == "__main__":
    main()
