"""Import AlpacaEval's published results with its numbers, and export them for its code."""

import csv
import json
from importlib.util import find_spec

import pytest

from aligner_bench.core.errors import UsageError
from aligner_bench.interchange.alpaca_import import import_alpaca_eval
from aligner_bench.runs import Run
from tests.conftest import leaderboard_of

JUDGE = "weighted_alpaca_eval_gpt4_turbo"
ANNOTATED = ("NullModel", "alpaca-7b", "falcon-40b-instruct", "gpt-3.5-turbo-1106", "phi-2")
ALIGNER = "aligner-2b_gpt-4-turbo-2024-04-09"
METRICS = ("win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws", "n_total", "discrete_win_rate")
needs_alpaca_eval = pytest.mark.skipif(
    find_spec("alpaca_eval") is None, reason="alpaca-eval is not installed"
)


@pytest.fixture(scope="module")
def published(shared_data):
    """AlpacaEval's leaderboard by model."""
    with (shared_data / "alpaca_eval" / f"{JUDGE}_leaderboard.csv").open(newline="") as stream:
        return {row[""]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def everything(shared_data, tmp_path_factory):
    """All eight models in one run."""
    return import_alpaca_eval(
        [shared_data / "alpaca_eval" / "results"], tmp_path_factory.mktemp("all") / "run"
    )


@pytest.mark.parametrize("model", ANNOTATED)
def test_numbers_of_the_official_leaderboard(model, shared_data, published, tmp_path, cli):
    folder = shared_data / "alpaca_eval" / "results" / model
    done = cli("import", "alpaca-eval", folder, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(cli("leaderboard", tmp_path / "run", "--format", "json").stdout)
    assert (row["system"], row["judge"], row["suite"]) == (model, JUDGE, "alpaca-eval")
    for name in METRICS:
        assert row[name] == pytest.approx(float(published[model][name]), abs=1e-6), name
    assert row["avg_length"] == int(published[model]["avg_length"])
    assert (row["orders"], row["n_prompts"], row["has_power"], row["conclusion"]) == (
        1,
        805,
        False,
        "not_audited",
    )


def test_one_run_of_all_models_says_the_same(everything, published):
    rows = {row.system: row for row in everything.results().rows}
    assert set(rows) == set(ANNOTATED)
    for model, row in rows.items():
        assert row.win_rate == pytest.approx(float(published[model]["win_rate"]), abs=1e-6)
        assert row.avg_length == int(published[model]["avg_length"])


def test_annotations_alone_give_the_same_numbers(shared_data, published, tmp_path):
    lonely = tmp_path / "anything.json"
    source = shared_data / "alpaca_eval" / "results" / "alpaca-7b" / JUDGE / "annotations.json"
    lonely.write_bytes(source.read_bytes())
    [row] = import_alpaca_eval([lonely], tmp_path / "run").results().rows
    assert row.system == "alpaca-7b"
    assert row.win_rate == pytest.approx(float(published["alpaca-7b"]["win_rate"]), abs=1e-6)
    assert row.avg_length == int(published["alpaca-7b"]["avg_length"])


def test_missing_prompts_are_rows_with_a_status(everything):
    row = next(row for row in everything.results().rows if row.system == "phi-2")
    assert (row.n, row.n_failed, row.failures) == (803, 2, {"missing": 2})
    missing = [r for r in everything.rows("responses") if r["status"] == "missing"]
    assert [(r["system"], r["text"]) for r in missing] == [("phi-2", "")] * 2
    texts = {r["prompt_id"]: r["prompt"] for r in everything.rows("prompts")}
    assert all(len(texts[r["prompt_id"]]) > 10 for r in missing)  # known from the other models
    assert any("2 missing of 805" in line for line in everything.results().warnings)


def test_the_prompts_are_those_of_the_packaged_suite(everything, shared_data):
    from aligner_bench.suites.load import load_suite

    suite = load_suite("alpaca-eval", data_dir=shared_data)
    [info] = everything.results().suites
    assert info.content_hash == suite.content_hash
    assert [r["prompt_id"] for r in everything.rows("prompts")] == [p.prompt_id for p in suite.prompts]


def test_an_imported_run_verifies(everything, cli):
    done = cli("verify", everything.path)
    assert done.returncode == 0, done.stdout


def test_the_judge_is_imported_with_unknown_power(everything):
    [judge] = everything.results().judges
    assert (judge.judge, judge.kind) == (JUDGE, "imported")
    assert judge.accuracy is judge.consistency is None
    assert not judge.has_power
    assert "imported" in judge.sentence
    assert "no discriminating power" not in judge.sentence
    assert any("phi-2" in line for line in everything.results().headline)
    assert "no discriminating power" not in (everything.path / "report.html").read_text("utf-8")


def test_the_order_comes_from_the_raw_reply(everything):
    import random

    prompts = {r["prompt_id"]: r["prompt"] for r in everything.rows("prompts")}
    known = [v for v in everything.rows("verdicts") if v["order"] != "unknown"]
    assert len(known) == 4025 - 2 - 11  # all but missing ones and equal texts, on which no judge was asked
    for verdict in known:  # golden vector 10: AlpacaEval's own draw
        seed = f"is_switched_outputs{prompts[verdict['prompt_id']]}0"
        switched = random.Random(seed).choices([False, True])[0]
        assert verdict["order"] == ("candidate_first" if switched else "baseline_first")
    [judge] = everything.results().judges
    assert judge.first_slot.n == 4012


def test_golden_vector_11(everything):
    results = everything.results()
    copies = next(row for row in results.copies if row.system == ALIGNER)
    assert copies.reference == "gpt4_1106_preview"
    assert (copies.identical, copies.prefix_sharing, copies.n) == (65, 136, 805)
    system = next(row for row in results.systems if row.system == ALIGNER)
    assert round(system.unchanged.value * system.unchanged.n) == 39
    assert any("65 of 805" in line and "136" in line for line in results.warnings)
    assert not any("alpaca-7b" in line and "identical" in line for line in results.warnings)


def test_the_aligner_alone_has_no_verdicts(shared_data, tmp_path, cli):
    file = shared_data / "alpaca_eval" / "results" / ALIGNER / "model_outputs.json"
    done = cli("import", "alpaca-eval", file, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    assert run.results().rows == []
    assert {r["system"] for r in run.rows("responses")} == {ALIGNER}
    assert cli("leaderboard", tmp_path / "run", "--format", "json").stdout.strip() == "[]"
    assert cli("report", tmp_path / "run").returncode == 0


def record(i, preference, **more):
    return {
        "instruction": f"Question {i}?", "output_1": f"old {i}", "generator_1": "base", "dataset": "mine",
        "output_2": f"new {i}", "generator_2": "mine/model", "annotator": "my judge",
        "preference": preference, "raw_completion": None, **more,
    }  # fmt: skip


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records))
    return path


ODD = [0, 0.0, 1.5, None, float("nan"), 2, 1, 1.0000001, 1.4999999, 3, -1, 1.75]


@needs_alpaca_eval
def test_odd_preferences_as_alpaca_eval_takes_them(tmp_path):
    from alpaca_eval.metrics import get_winrate

    file = write(tmp_path / "annotations.json", [record(i, p) for i, p in enumerate(ODD)])
    [row] = import_alpaca_eval([file], tmp_path / "run").results().rows
    kept = [p for p in ODD if p not in (3, -1)]  # on these two AlpacaEval's metrics contradict each other
    theirs = get_winrate([{"preference": p} for p in kept])
    assert (row.n_wins, row.n_wins_base, row.n_draws, row.n) == tuple(
        theirs[name] for name in ("n_wins", "n_wins_base", "n_draws", "n_total")
    )
    assert row.win_rate == pytest.approx(theirs["win_rate"], abs=1e-9)
    assert row.standard_error == pytest.approx(theirs["standard_error"], abs=1e-9)
    assert row.discrete_win_rate == pytest.approx(theirs["discrete_win_rate"], abs=1e-9)
    assert row.failures == {"unparsable": 4}
    assert (row.suite, row.system, row.baseline) == ("imported", "mine/model", "base")


def test_a_repeated_instruction_is_counted_twice_and_is_one_family(tmp_path):
    file = write(tmp_path / "annotations.json", [record(1, 2), record(1, 1), record(2, 2)])
    run = import_alpaca_eval([file], tmp_path / "run")
    [row] = run.results().rows
    assert (row.n, row.n_wins) == (3, 2)
    prompts = run.rows("prompts")
    assert len({p["prompt_id"] for p in prompts}) == 3
    assert prompts[1]["family"] == prompts[0]["prompt_id"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json", "expected a JSON list"),
        ("{}", "expected a JSON list"),
        ("[]", "has no records"),
        ('[{"instruction": "a", "output": "b"}, {"instruc', "record 2: not JSON"),
        ('[{"instruction": "a", "output": "b"}, 7]', "record 2: expected an object, not int"),
        ('[{"instruction": "a", "output": "b"}, {"output": "c"}]', "record 2: instruction: is missing"),
        ('[{"instruction": "a", "output": 3}]', "record 1: output: expected text, not int"),
        (json.dumps([record(1, 2), record(2, "yes")]), "record 2: preference: expected a number from 1 to 2"),
        (json.dumps([record(1, 2), record(2, True)]), "record 2: preference: expected a number from 1 to 2"),
        (json.dumps([record(1, 2), record(2, 1, annotator=7)]), "record 2: annotator: expected text"),
        ("[" * 100_000, "record 1: not JSON"),
    ],
)  # fmt: skip
def test_malformed_files_end_as_one_line(text, says, tmp_path, cli):
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        import_alpaca_eval([file], tmp_path / "run")
    assert str(error.value).startswith(str(file))
    assert says in str(error.value)
    assert not (tmp_path / "run").exists()


def test_faults_of_the_command(tmp_path, cli):
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"\xff\xfe[")
    for path, says in (
        (bad, "not UTF-8"),
        (tmp_path / "none", "no such"),
        (tmp_path, "no model_outputs.json"),
    ):
        done = cli("import", "alpaca-eval", path, "-o", tmp_path / "run")
        assert done.returncode == 2
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
    held = tmp_path / "held"
    held.mkdir()
    (held / "notes.txt").write_text("mine")
    good = write(tmp_path / "annotations.json", [record(1, 2)])
    done = cli("import", "alpaca-eval", good, "-o", held)
    assert done.returncode == 2
    assert "contains files but no run" in done.stderr


def test_a_second_import_is_the_same_and_another_needs_overwrite(tmp_path):
    one = write(tmp_path / "one.json", [record(1, 2)])
    two = write(tmp_path / "two.json", [record(1, 1)])
    first = import_alpaca_eval([one], tmp_path / "run")
    before = leaderboard_of(first.path)
    assert leaderboard_of(import_alpaca_eval([one], tmp_path / "run").path) == before
    with pytest.raises(UsageError, match="overwrite"):
        import_alpaca_eval([two], tmp_path / "run")
    assert import_alpaca_eval([two], tmp_path / "run", overwrite=True).results().rows[0].n_wins == 0
    with pytest.raises(UsageError, match="was read before"):
        import_alpaca_eval([one, two], tmp_path / "both")


def test_answers_that_differ_between_files_are_told(tmp_path):
    outputs = write(
        tmp_path / "model_outputs.json",
        [{"instruction": "Question 1?", "output": "another", "generator": "mine/model"}],
    )
    annotations = write(tmp_path / "annotations.json", [record(1, 2)])
    run = import_alpaca_eval([annotations, outputs], tmp_path / "run")
    assert any("mine/model: 1 answers differ" in line for line in run.results().warnings)
    assert next(r["text"] for r in run.rows("responses") if r["system"] == "mine/model") == "another"


@needs_alpaca_eval
def test_alpaca_eval_reads_the_export(everything, published, tmp_path, cli):
    import alpaca_eval.utils
    from alpaca_eval.metrics import get_winrate

    done = cli("export", "alpaca-eval", everything.path, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    board = alpaca_eval.utils.load_or_convert_to_dataframe(tmp_path / "out" / f"{JUDGE}_leaderboard.csv")
    for model in ANNOTATED:
        annotations = alpaca_eval.utils.load_or_convert_to_dataframe(
            tmp_path / "out" / model / JUDGE / "annotations.json"
        )
        theirs = get_winrate(annotations)
        for name in METRICS:
            assert theirs[name] == pytest.approx(float(published[model][name]), abs=1e-6), name
            assert board.loc[model, name] == pytest.approx(float(published[model][name]), abs=1e-6), name
        assert board.loc[model, "avg_length"] == int(published[model]["avg_length"])


@needs_alpaca_eval
def test_alpaca_eval_evaluates_the_exported_files(everything, shared_data, published, tmp_path, monkeypatch):
    """Run AlpacaEval's ``evaluate`` on exported files, recomputing its metrics."""
    import alpaca_eval

    from aligner_bench.interchange.alpaca_export import export_alpaca_eval

    monkeypatch.chdir(tmp_path)
    export_alpaca_eval(everything, tmp_path / "out")
    board, _ = alpaca_eval.evaluate(
        model_outputs=str(tmp_path / "out" / "phi-2" / "model_outputs.json"),
        reference_outputs=str(tmp_path / "out" / "gpt4_1106_preview" / "model_outputs.json"),
        annotators_config=JUDGE,
        precomputed_leaderboard=str(tmp_path / "out" / f"{JUDGE}_leaderboard.csv"),
        output_path=str(tmp_path / "out" / "phi-2"),
        fn_metric="get_winrate",
        sort_by="win_rate",
        is_recompute_metrics_only=True,
        is_return_instead_of_print=True,
        is_cache_leaderboard=False,
    )
    assert board.loc["phi-2", "win_rate"] == pytest.approx(float(published["phi-2"]["win_rate"]), abs=1e-6)
    assert board.loc["phi-2", "n_total"] == 803


def test_export_and_import_are_a_round_trip(everything, tmp_path):
    from aligner_bench.interchange.alpaca_export import export_alpaca_eval

    export_alpaca_eval(everything, tmp_path / "out")
    again = import_alpaca_eval([tmp_path / "out"], tmp_path / "run").results()
    rows = {row.system: row for row in everything.results().rows}
    assert len(again.rows) == len(rows)
    for row in again.rows:
        old = rows[row.system]
        assert (row.win_rate, row.n, row.n_failed, row.avg_length) == (
            old.win_rate, old.n, old.n_failed, old.avg_length,
        )  # fmt: skip
    assert next(c for c in again.copies if c.system == ALIGNER).prefix_sharing == 136


def test_names_that_are_no_folder_names(tmp_path):
    from aligner_bench.interchange.alpaca_export import export_alpaca_eval

    hostile = [record(1, 2, generator_2="../../up", annotator="..")]
    run = import_alpaca_eval([write(tmp_path / "a.json", hostile)], tmp_path / "run")
    out = (tmp_path / "out").resolve()
    written = export_alpaca_eval(run, out)
    assert len(written) == 4
    assert all(path.resolve().is_relative_to(out) for path in written)
    twins = [record(1, 2, generator_2="a/b"), record(1, 2, generator_2="a b")]
    run = import_alpaca_eval([write(tmp_path / "b.json", twins)], tmp_path / "run2")
    with pytest.raises(UsageError, match="would share the folder"):
        export_alpaca_eval(run, tmp_path / "out2")
