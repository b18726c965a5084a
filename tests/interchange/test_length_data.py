"""AlpacaEval's own length-controlled rate, from a df_gamed.csv (here one of its shape, made up)."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from aligner_bench.core.errors import UsageError
from aligner_bench.interchange.alpaca_import import import_alpaca_eval

COLUMNS = ("index", "model", "preference", "std_delta_len", "instruction_difficulty", "not_gamed_baseline")
ANNOTATED = "weighted_alpaca_eval_gpt4_turbo/annotations.json"


@pytest.fixture
def gamed(tmp_path: Path) -> Path:
    """Two gamed models on 805 instructions: longer answers are preferred, some instructions are harder."""
    dice = random.Random(5)
    hard = [dice.gauss(0, 1) for _ in range(805)]
    path = tmp_path / "df_gamed.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for model, lean in (("concise", 0.35), ("verbose", 0.65)):
            for i in range(805):
                preference = min(1.0, max(0.0, dice.gauss(lean, 0.3)))
                writer.writerow(
                    [i, model, preference, dice.gauss(1 if lean < 0.5 else -1, 1), hard[i], False]
                )
    return path


def official(annotations: Path, gamed: Path) -> float:
    """The rate by AlpacaEval's own functions on the same two files."""
    pd = pytest.importorskip("pandas")
    glm = pytest.importorskip(
        "alpaca_eval.metrics.glm_winrate", reason="the extra alpaca-eval is not installed"
    )
    from unittest.mock import patch

    frame = pd.DataFrame(json.loads(annotations.read_text()))
    with patch.object(glm, "hf_hub_download", return_value=str(gamed)):  # its data set is on the hub
        found = glm.get_length_controlled_winrate(frame, save_weights_dir=None)
    return float(found["length_controlled_winrate"])


def test_the_published_form_equals_alpaca_evals_own_code(shared_data, gamed, tmp_path):
    model = shared_data / "alpaca_eval" / "results" / "alpaca-7b"
    run = import_alpaca_eval([model], tmp_path / "run", gamed=gamed)
    length = next(row.length for row in run.results().rows)
    assert (length.label, length.form) == ("LC", "length_controlled_v1")
    assert 100 * length.rate.value == pytest.approx(official(model / ANNOTATED, gamed), abs=0.01)
    plain = import_alpaca_eval([model], tmp_path / "plain").results().rows[0].length
    assert plain.label == "LC (minimal)"
    assert plain.rate.value != length.rate.value


def test_faulty_files_are_named(shared_data, gamed, tmp_path):
    model = shared_data / "alpaca_eval" / "results" / "phi-2"
    gamed.write_text(gamed.read_text().replace("std_delta_len", "delta", 1))
    with pytest.raises(UsageError, match="'std_delta_len' is missing"):
        import_alpaca_eval([model], tmp_path / "run", gamed=gamed)
    with pytest.raises(UsageError, match="no such file"):
        import_alpaca_eval([model], tmp_path / "run", gamed=tmp_path / "none.csv")
    assert not (tmp_path / "run").exists()
