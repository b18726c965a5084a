"""``verify``: an unmodified run passes, and every manipulation is found and named."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import aligner_bench
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.results.claims import Claim, claims, differing, leaves, pack, same, unpack
from aligner_bench.store.tables import COLUMNS, read_table, write_table
from aligner_bench.verify.verify import verify
from tests.test_replayed_run import write_experiment

CATEGORIES = ["odd", "even"] * 6


@pytest.fixture(scope="session")
def honest(tmp_path_factory):
    home = tmp_path_factory.mktemp("honest")
    before = ["no", "no", "yes", "yes", "yes", "yes", "no", "no", "no", "yes", "no", "yes"]
    after = ["yes", "yes", "no", "yes", "yes", "yes!", "no", "never", "no", None, "yes", "yes"]
    path = write_experiment(home, before, after, [["yes"]] * 12, categories=CATEGORIES)
    return aligner_bench.run(Experiment.load(path), home / "out", ledger=home / "l.sqlite").path


@pytest.fixture
def copy(honest, tmp_path):
    return Path(shutil.copytree(honest, tmp_path / "run"))


def edit(table: str, change: Callable[[list[dict]], list[dict] | None]) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        path = run / f"{table}.parquet"
        rows = read_table(table, path)
        write_table(table, change(rows) or rows, path)

    return apply


def edited_verdict(rows):
    lost = next(row for row in rows if row["preference"] == 0.0)
    lost["preference"] = 1.0


def another_judges_verdicts(rows):
    for row in rows:
        row |= {"order": "none", "status": "ok", "preference": 0.7, "detail": "liked it better"}


def swapped_suite(rows):
    for row in rows:
        row["prompt"] = row["prompt"].replace("Question", "Problem")


def changed_baseline(rows):
    for row in rows:
        if row["system"] == "base" and row["prompt_id"] == "p3":
            row |= {"text": "no", "correct": False}


def renamed_judge(rows):
    rows[0]["identity"] = "f" * 64


def leaderboard_number(run: Path) -> None:
    path = run / "leaderboard.json"
    data = json.loads(path.read_text())
    data["rows"][0]["rates"]["strict"]["value"] = 0.93
    path.write_text(json.dumps(data))


def leaderboard_row_gone(run: Path) -> None:
    path = run / "leaderboard.json"
    data = json.loads(path.read_text())
    del data["systems"][0]
    path.write_text(json.dumps(data))


def leaderboard_row_more(run: Path) -> None:
    path = run / "leaderboard.json"
    data = json.loads(path.read_text())
    data["rows"].append({**data["rows"][0], "judge": "another"})
    path.write_text(json.dumps(data))


def upstream_called_right(rows):
    wrong = next(row for row in rows if row["upstream_correct"] is False)
    wrong["upstream_correct"] = True


def answer_called_right(rows):
    wrong = next(row for row in rows if row["correct"] is False and row["text"])
    wrong["correct"] = True


def preference_out_of_range(rows):
    rows[0]["preference"] = 1.5


def failure_with_preference(rows):
    rows[0]["status"] = "refused"


def unknown_judges_verdict(rows):
    rows[0]["judge"] = "nobody"


def undeclared_comparison(rows):
    for row in rows:
        if row["candidate"] == "new":
            row |= {"candidate": "base", "baseline": "new", "preference": None, "status": "error"}


def some_orders(rows):
    """Every pair in both orders but for one."""
    for row in rows:
        row["order"] = "candidate_first"
    return [*rows, *({**row, "order": "baseline_first"} for row in rows[1:])]


def leaderboard_gone(run: Path) -> None:
    (run / "leaderboard.json").unlink()


def html_data(run: Path) -> None:
    """A number in the ledger that the page carries."""
    path = run / "report.html"
    html = path.read_text("utf-8")
    old = re.search(r'id="ledger">([^<]*)<', html)[1]
    ledger = unpack(old)
    claim = next(c for c in ledger["claims"] if c[0].endswith("rates.strict.value"))
    claim[1] = 0.93
    path.write_text(html.replace(old, pack(ledger["claims"], ledger["renderer"])), "utf-8")


def html_query(run: Path) -> None:
    """The query beside a number in the ledger that the page carries."""
    path = run / "report.html"
    html = path.read_text("utf-8")
    old = re.search(r'id="ledger">([^<]*)<', html)[1]
    ledger = unpack(old)
    claim = next(c for c in ledger["claims"] if c[0].endswith("rates.strict.value"))
    claim[2] = "another query"
    path.write_text(html.replace(old, pack(ledger["claims"], ledger["renderer"])), "utf-8")


def html_number(run: Path) -> None:
    """A number in the page's text alone."""
    path = run / "report.html"
    html = path.read_text("utf-8")
    assert "66.7" in html or "75.0" in html
    path.write_text(html.replace("66.7", "96.7").replace("75.0", "95.0"), "utf-8")


def html_answers(run: Path) -> None:
    """The compressed answers behind the browser of answers."""
    import base64
    import zlib

    path = run / "report.html"
    html = path.read_text("utf-8")
    old = re.search(r'id="payload">([^<]*)<', html)[1]
    data = zlib.decompress(base64.b64decode(old)).replace(b'"never"', b'"always"')
    path.write_text(html.replace(old, base64.b64encode(zlib.compress(data)).decode()), "utf-8")


def changed_manifest(run: Path) -> None:
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["hardware"]["gpu"] = "a better one"
    path.write_text(json.dumps(manifest))


def changed_experiment(run: Path) -> None:
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["experiment"]["seed"] = 99
    path.write_text(json.dumps(manifest))


def manifest_without_seal(run: Path) -> None:
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["seal"]
    path.write_text(json.dumps(manifest))


def truncated(run: Path) -> None:
    path = run / "responses.parquet"
    path.write_bytes(path.read_bytes()[:-200])


def table_gone(run: Path) -> None:
    (run / "audits.parquet").unlink()


PLANTED = {
    "edited verdict": (edit("verdicts", edited_verdict), "the references give 0.0"),
    "removed answer": (edit("responses", lambda rows: rows[:-1]), "has no row for hand/"),
    "removed verdict": (edit("verdicts", lambda rows: rows[1:]), "has no row for hand/p0"),
    "removed prompt": (edit("prompts", lambda rows: rows[1:]), "which is not a prompt of the run"),
    "duplicated row": (edit("verdicts", lambda rows: [*rows, rows[0]]), "2 rows for suite 'hand'"),
    "number in the HTML's data": (html_data, "report.html: rows[suite=hand"),
    "number in the HTML's text": (html_number, "differs from the rows"),
    "query in the HTML's data": (html_query, "report.html: the query of rows[suite=hand"),
    "answers in the HTML": (html_answers, "the answers' data"),
    "number in the leaderboard": (leaderboard_number, "leaderboard.json: rows[suite=hand"),
    "no leaderboard": (leaderboard_gone, "leaderboard.json: is missing"),
    "row missing in the leaderboard": (leaderboard_row_gone, "is nothing, the rows give"),
    "row added to the leaderboard": (leaderboard_row_more, "the rows give nothing"),
    "upstream called correct": (edit("responses", upstream_called_right), "upstream_correct of"),
    "answer called correct": (edit("responses", answer_called_right), "parquet: correct of"),
    "preference out of range": (edit("verdicts", preference_out_of_range), "1.5 is not in [0, 1]"),
    "status of a failure": (edit("verdicts", failure_with_preference), "the status 'refused'"),
    "unknown judge": (edit("verdicts", unknown_judges_verdict), "judge 'nobody' is not in judges.parquet"),
    "undeclared comparison": (
        edit("verdicts", undeclared_comparison),
        "verdicts.parquet: base against new is",
    ),
    "one order missing": (edit("verdicts", some_orders), "lacks an order of hand/p0"),
    "swapped suite": (edit("prompts", swapped_suite), "suite 'hand' has the content hash"),
    "changed manifest": (changed_manifest, "manifest.json: was changed"),
    "changed experiment": (changed_experiment, "not the hash of the experiment"),
    "manifest without seal": (manifest_without_seal, "has no digests"),
    "another judge's verdicts": (edit("verdicts", another_judges_verdicts), "0.7, the references give"),
    "another judge": (edit("judges", renamed_judge), "judge 'facts' is ffffffffffff"),
    "changed baseline answers": (
        edit("responses", changed_baseline),
        "called identical, but the texts differ",
    ),
    "truncated Parquet": (truncated, "responses.parquet: cannot be read"),
    "missing table": (table_gone, "audits.parquet: cannot be read"),
}


def test_an_unmodified_run_passes(honest, cli):
    done = cli("verify", honest)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all agree with the rows" in done.stdout
    found = verify(honest)
    assert found.ok
    assert found.notes == []
    assert found.checked["leaderboard.json"] == found.checked["report.html"] > 100


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_manipulation_is_found(name, copy):
    plant, expected = PLANTED[name]
    plant(copy)
    found = verify(copy)
    assert any(expected in line for line in found.differences), "\n".join(found.differences)


@pytest.mark.parametrize("table", COLUMNS)
def test_the_seal_finds_one_more_row_in_any_table(table, copy):
    """The digest alone finds it, independently of the other checks."""
    values = {"string": "x", "int64": 1, "double": 0.5, "bool": True, "list<string>": ["x"]}

    def one_more(rows):
        return [*rows, {column: values[kind] for column, kind in COLUMNS[table].items()}]

    path = copy / f"{table}.parquet"
    before = len(read_table(table, path))
    edit(table, one_more)(copy)
    expected = f"{table}.parquet: its {before + 1} rows are not the {before} that were saved"
    assert expected in verify(copy).differences


@pytest.mark.parametrize(
    ("factor", "ok"), [(1.01, False), (0.99, False), (1 + 1e-6, False), (1 + 1e-12, True)]
)
def test_a_leaderboard_may_differ_in_the_last_digit_only(factor, ok, copy):
    path = copy / "leaderboard.json"
    data = json.loads(path.read_text())
    data["rows"][0]["rates"]["strict"]["value"] *= factor
    path.write_text(json.dumps(data))
    found = verify(copy)
    assert found.ok is ok
    assert ok or "rates.strict.value is 0.7" in found.differences[0]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (0.1 + 0.2, 0.3, True),
        (1.0, 1, True),
        (1234.5, 1234.5 * (1 + 1e-10), True),
        (0.0, 1e-15, True),
        (0.75, 0.7575, False),
        (0.75, 0.75000075, False),
        (0.0, 0.001, False),
        (True, 1, False),
        (1, True, False),
        (0.5, "0.5", False),
        (None, 0.0, False),
        ("same", "same", True),
    ],
)
def test_same_values_differ_by_rounding_only(a, b, equal):
    assert same(a, b) is equal


def test_differing_names_what_is_missing_and_what_is_too_much():
    made = [Claim("rows.a", 1.0, ""), Claim("rows.b", 2.0, "")]
    lines = list(differing("file", {"rows.b": 2.0, "rows.c": 3.0}, made))
    assert lines == [
        "file: rows.a is nothing, the rows give 1.0",
        "file: rows.c is 3.0, the rows give nothing",
    ]


def test_the_command_names_differences_and_ends_with_1(copy, cli):
    PLANTED["edited verdict"][0](copy)
    done = cli("verify", copy)
    assert done.returncode == 1
    assert "differs: verdicts.parquet: its 24 rows are not the 24 that were saved" in done.stdout
    data = json.loads(cli("verify", copy, "--format", "json").stdout)
    assert data["ok"] is False
    assert len(data["differences"]) > 3


@pytest.mark.parametrize("table", ["prompts", "responses", "verdicts", "judges"])
def test_reordered_rows_pass(copy, table):
    def shuffled(rows):
        random.Random(3).shuffle(rows)

    edit(table, shuffled)(copy)
    found = verify(copy)
    assert found.ok, found.differences


def test_no_run_is_a_usage_error(tmp_path, copy, cli):
    assert cli("verify", tmp_path).returncode == 2
    assert cli("verify", tmp_path / "nowhere").returncode == 2
    assert cli("verify", copy, "--report", tmp_path / "none.html").returncode == 2
    (copy / "manifest.json").write_text("{")
    assert cli("verify", copy).returncode == 1


def test_another_report_of_the_run_is_checked(copy, tmp_path):
    other = aligner_bench.Run(copy).report(tmp_path / "other.html")
    assert verify(copy, report=other).ok
    other.write_text(other.read_text("utf-8").replace("new against base", "old against base"), "utf-8")
    assert not verify(copy, report=other).ok


def test_a_page_of_other_code_is_checked_by_its_ledger(copy):
    path = copy / "report.html"
    html = path.read_text("utf-8")
    old = re.search(r'id="ledger">([^<]*)<', html)[1]
    ledger = unpack(old)
    path.write_text(html.replace(old, pack(ledger["claims"], "another version")), "utf-8")
    found = verify(copy)
    assert found.ok
    assert "rendered by a different version" in found.notes[0]


def test_every_number_has_a_query(honest, cli):
    run = aligner_bench.Run(honest)
    made = claims(run.results())
    numbers = dict(leaves(json.loads((honest / "leaderboard.json").read_text())))
    assert {claim.path: claim.value for claim in made} == numbers
    row = "rows[suite=hand,judge=facts,system=new,baseline=base]"
    found = next(c for c in made if c.path == f"{row}.rates.strict.value")
    assert found.value == pytest.approx(3 / 4)
    assert found.query == (
        "win_rate(preferences, 'strict', clusters=family) over verdicts where suite = 'hand' "
        "and judge = 'facts' and candidate = 'new' and baseline = 'base'"
    )
    part = next(c.query for c in made if c.path == f"{row}.by_category[category=odd].n_wins")
    assert part.endswith("and category = 'odd'")
    assert part.startswith("count(prompts that the candidate wins) over verdicts")
    listed = cli("verify", honest, "--claims").stdout
    assert f"{row}.rates.strict.value = 0.75" in listed


def test_numbers_in_the_page_name_their_claim(honest):
    html = (honest / "report.html").read_text("utf-8")
    row = "rows[suite=hand,judge=facts,system=new,baseline=base]"
    assert f'data-claim="{row}"' in html
    assert f'data-claim="{row}.rates.strict"' in html
    assert 'data-claim="systems[suite=hand,system=new].damage"' in html


def test_names_with_dots_and_brackets_keep_their_path():
    data = {"rows": [{"suite": "a.b", "judge": "j[1]", "system": "x,y", "baseline": "b", "n_wins": 3}]}
    ((path, value),) = [leaf for leaf in leaves(data) if leaf[0].endswith("n_wins")]
    assert (path, value) == ("rows[suite=a.b,judge=j[1],system=x,y,baseline=b].n_wins", 3)
    assert "judge = 'j[1]' and candidate = 'x,y'" in claims(data)[-1].query


def test_a_run_of_an_older_version_is_refused_in_one_line_and_recomputed(copy, cli):
    """Its rows and seal hold; its words are of another schema version."""
    path = copy / "leaderboard.json"
    old = (
        path.read_text("utf-8")
        .replace('"schema_version": 2', '"schema_version": 1')
        .replace("beats", "wins over")
    )
    path.write_text(old, "utf-8")
    done = cli("verify", copy)
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("differs")]
    assert "has schema version 1, this version publishes 2" in line
    assert f"aligner-bench report {copy} --recompute" in line
    assert cli("report", copy, "--recompute").returncode == 0
    assert cli("verify", copy).returncode == 0
