"""A run killed between its last row and its manifest is finished by the same command."""

import aligner_bench
from aligner_bench.experiment.experiment import Experiment


def test_tables_without_a_manifest_do_not_stand_in_the_way(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "p0", "prompt": "one"}\n')
    (tmp_path / "suite.yaml").write_text(
        "name: one\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    (tmp_path / "a.jsonl").write_text('{"prompt_id": "p0", "output": "1"}\n')
    (tmp_path / "exp.yaml").write_text(
        "name: one\nsuites: [suite.yaml]\nmodels: {a: {engine: replay, path: a.jsonl}}\n"
        "systems: {a: {upstream: a}}\n"
    )
    experiment = Experiment.load(tmp_path / "exp.yaml")
    done = aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    for file in done.path.iterdir():
        if file.suffix != ".parquet":
            file.unlink()
    again = aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    assert [row["text"] for row in again.rows("responses")] == ["1"]
