"""The published tables: shipped as data, equal to what was read from the papers, rendered in every format."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from aligner_bench.core.errors import UsageError
from aligner_bench.papers.tables import load_table, paper_names, trends
from aligner_bench.stats.trend import page, slope_per_doubling
from aligner_bench.stats.winrate import win_rate


def read(folder, name):
    with (folder / "paper_tables" / name).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(("number", "count"), [(1, 108), (2, 36), (3, 36), (4, 108), (5, 36), (6, 36)])
def test_the_360_cells_of_ngweta_render_from_data_and_equal_the_csv(number, count, shared_data, cli):
    done = cli("leaderboard", "--papers", f"ngweta2024/table{number}", "--format", "csv")
    assert done.returncode == 0, done.stderr
    ours = {
        (row["setting"], row["baseline"], row["aligner_model"]): row["value"]
        for row in csv.DictReader(io.StringIO(done.stdout))
    }
    theirs = read(shared_data, f"table{number}.csv")
    assert len(ours) == len(theirs) == count
    assert ours == {(r["setting"], r["baseline"], r["aligner_model"]): r["win_rate"] for r in theirs}


def test_figure_3_and_its_macro_rates(shared_data):
    table = load_table("ngweta2024/figure3")
    theirs = read(shared_data, "ngweta_notebook_fig3_categories.csv")
    ours = {(cell.labels["baseline"], cell.labels["category"]): cell.text for cell in table.cells}
    assert ours == {(row["baseline"], row["category"]): row["win_rate"] for row in theirs}
    order = [labels[0] for labels, _ in table.grid()[1]]
    ids = {row["category"]: int(row["category_id"]) for row in theirs}
    assert [ids[name] for name in order] == [2, 3, 6, 7, 0, 1, 4, 5, 8, 9, 10, 11, 12, 13]
    means = []
    for head in table.grid()[0]:
        four = [cell.value for cell in table.where({"relevance": "relevant", "baseline": head})]
        means.append(sum(four) / 4)
    assert means == pytest.approx([0.810719, 0.662609, 0.354198], abs=5e-7)
    cells = load_table("ngweta2024/table3")
    for mean, baseline in zip(means, ("", "-Chat", " + Ji et al. (2024a)"), strict=True):
        cell = cells.cell({"baseline": f"Llama-2-13B{baseline}", "aligner_model": "Phi-2"})
        assert round(mean, 3) == cell.value


def test_the_published_counts_give_the_printed_omega_and_the_discrete_rates():
    for cell in load_table("ji2024/table10").cells:
        preferences = [1.0] * cell.wins + [0.5] * cell.draws + [0.0] * cell.losses
        assert len(preferences) == cell.n
        assert 100 * win_rate(preferences, "omega").value == pytest.approx(
            cell.value, abs=0.051
        )  # 5.15 is printed as 5.1
    for wins, draws, rate in ((429, 7, 53.7267), (370, 9, 46.5217), (201, 4, 25.2174)):
        preferences = [1.0] * wins + [0.5] * draws + [0.0] * (805 - wins - draws)
        assert 100 * win_rate(preferences, "discrete").value == pytest.approx(rate, abs=5e-5)


def test_the_category_cycle_of_beavertails_and_the_counts_of_harmfulqa(shared_data):
    from aligner_bench.suites.load import load_suite

    suite = load_suite("beavertails", data_dir=shared_data)
    names = [prompt.category for prompt in suite.prompts]
    assert [names[:14].index(name) for name in names] == [row % 14 for row in range(700)]
    assert (list(suite.categories).index(names[695]), list(suite.categories).index(names[699])) == (9, 13)
    harmful = load_suite("harmfulqa", data_dir=shared_data)
    assert len(harmful) == 1960
    assert len({prompt.category for prompt in harmful.prompts}) == 10
    assert len({prompt.family for prompt in harmful.prompts}) == 98
    assert len({prompt.text for prompt in harmful.prompts}) == 1938


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [
        ("ji2024/table1", "ji_table1_3h.csv", "omega_percent"),
        ("ji2024/table2", "ji_table2_critique.csv", "omega_percent"),
        ("ji2024/table10", "ji_table10_gsb_counts.csv", "printed_omega_percent"),
        ("ji2024/table11", "ji_table11_domains.csv", "increase_percent"),
        ("ji2024/table12", "ji_table12_bon_beam.csv", "omega_percent_aligner_over_method"),
        ("ji2024/table13", "ji_table13_feedback.csv", "omega_percent_feedback_over_pure"),
        ("ji2024/weak-to-strong", "blog_table4_weak_to_strong.csv", "omega_percent"),
    ],
)
def test_the_tables_of_ji_equal_the_csv(name, file, column, shared_data):
    table = load_table(name)
    theirs = read(shared_data, file)
    ours = {tuple(cell.labels.items()): cell.text for cell in table.cells}
    assert ours == {tuple((label, row[label]) for label in table.labels): row[column] for row in theirs}


@pytest.mark.parametrize(
    ("name", "file", "label", "columns"),
    [
        ("table3", "preference_datasets", "dimension", ("helpful_omega_percent", "harmless_omega_percent")),
        ("table14", "lengths", "measure", ("length_before", "length_after", "ratio")),
        ("table15", "human_vs_gpt4", "rater", ("gpt4_omega_percent", "human_omega_percent")),
    ],
)
def test_the_wide_tables_of_ji_equal_the_csv(name, file, label, columns, shared_data):
    table = load_table(f"ji2024/{name}")
    theirs = read(shared_data, f"ji_{name}_{file}.csv")
    assert [cell.text for cell in table.cells] == [row[column] for row in theirs for column in columns]
    assert len({cell.labels[label] for cell in table.cells}) == len(columns)


def test_known_misprints_are_marked(cli):
    shown = cli("leaderboard", "--papers", "ngweta2024/table2").stdout
    assert "0.386*" in shown
    assert "misprint" in shown
    assert (
        load_table("ngweta2024/table5").cell({"baseline": "Falcon-40B", "aligner_model": "RedPajama-3B"}).note
        == 'printed as "0.71 1"'
    )
    mean = [
        cell.value
        for cell in load_table("ji2024/table1").where({"aligner": "Aligner-2B", "dataset": "DialogSum"})
    ]
    assert sum(mean) / len(mean) == pytest.approx(38.49, abs=0.005)
    assert any("36.4" in note for note in load_table("ji2024/table1").notes())
    assert [c.note for c in load_table("ji2024/table15").cells if c.note] == [
        f"Table 1 has {value} for Aligner-2B" for value in ("-0.5", "10.8", "10.0", "5.4")
    ]


def test_every_table_in_every_format_has_source_and_definition(cli):
    assert len(paper_names()) == 17
    for name in paper_names():
        table = load_table(name)
        assert all(cell.source and cell.definition for cell in table.cells), name
        heads, rows = table.grid()
        assert sum(cell is not None for _, cells in rows for cell in cells) == len(table.cells), name
        assert len(heads) > 1
    for kind, sign in (("md", "| Llama-2-70B-Chat | 0.584 | 0.657"), ("latex", r"Llama-2-70B-Chat & 0.584")):
        assert sign in cli("leaderboard", "--papers", "ngweta2024/table3", "--format", kind).stdout
    data = json.loads(cli("leaderboard", "--papers", "ngweta2024/table3", "--format", "json").stdout)
    assert data["cells"][0]["value"] == 0.637
    assert data["cells"][0]["definition"] == "macro"


def test_an_unknown_table_names_the_nearest(cli):
    done = cli("leaderboard", "--papers", "ngweta2024/tabel3")
    assert done.returncode == 2
    assert done.stderr.startswith("aligner-bench: unknown paper table 'ngweta2024/tabel3': did you mean")
    assert "name a run folder" in cli("leaderboard").stderr
    assert cli("leaderboard", "--papers", "list").stdout.count("\n") == 17
    with pytest.raises(UsageError, match="no cell has aligner_model 'Phi2'; did you mean 'Phi-2'"):
        load_table("ngweta2024/table2").cell({"aligner_model": "Phi2"})


def test_size_trends_of_the_papers_are_tested_and_not_read_off():
    found = {trend.group: trend for trend in trends(load_table("ji2024/table1"))}
    assert len(found) == 7
    assert "grows with size" in found["DialogSum, Reasoning"].sentence
    assert "no trend shown" in found["TruthfulQA, Reliable"].sentence
    squad = trends(load_table("ngweta2024/table3"))
    assert [trend.blocks for trend in squad] == [9]
    assert trends(load_table("ji2024/table2")) == []


def test_page_and_slope_against_hand_made_data():
    # Page 1963 with every block in the expected order: L is m * sum(k^2).
    assert page([[1, 2, 3]] * 5)[0] == 5 * 14
    assert page([[3, 2, 1]] * 5)[1] == page([[1, 2, 3]] * 5)[1]  # two-sided
    rng = np.random.default_rng(0)
    sizes = [1e9, 2e9, 8e9]
    x = np.log2(sizes)
    table = 0.4 + 0.05 * (x - x[0]) + rng.normal(0, 0.02, (60, 3))
    estimate, p = slope_per_doubling(table, sizes)
    assert estimate.lower < 0.05 < estimate.upper
    assert p < 1e-6
    slopes = [np.polyfit(x, row, 1)[0] for row in table]
    assert estimate.value == pytest.approx(np.mean(slopes))
    flat, chance = slope_per_doubling(rng.uniform(0, 1, (200, 3)), sizes)
    assert flat.lower < 0 < flat.upper
    assert chance > 0.05
    with pytest.raises(ValueError, match="two different sizes"):
        slope_per_doubling(table, [1e9, 1e9, 1e9])
