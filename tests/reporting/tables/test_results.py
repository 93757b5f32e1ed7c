"""What the tables of a study say, in the terminal, in a file, as Markdown, LaTeX and CSV."""

import csv
import io
from pathlib import Path

import pytest
from helpers.study_folder import FIRST_STAGE, write_job, write_two_seeds, write_unfinished_job
from rich.console import Console

from experiments.analysis.findings import findings_of
from experiments.analysis.load import read_study
from experiments.reporting.summary import latex, markdown, print_findings
from experiments.reporting.tables.render import to_csv
from experiments.reporting.tables.results import left_out, legend, result_rows, result_table
from experiments.reporting.tables.table import Table

BETTER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}  # the first stage (mean 0.4375) plus 0.5, 0.5, 0, 0.5
EVERYWHERE_BETTER = {query: value + 0.25 for query, value in FIRST_STAGE.items()}
WORSE = {"q1": 0.25, "q2": 0.0, "q3": 0.75, "q4": 0.0}  # the first stage minus 0.25, 0.25, 0.25, 0


def table_of(study: Path) -> Table:
    findings = findings_of(study)
    return result_table(findings, findings.groups[0])


def printed(study: Path, width: int = 80, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    print_findings(findings_of(study), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_first_row_is_the_first_stage_itself(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    assert table_of(tmp_path).rows[0] == ("BM25 alone", "", "0.438", "", "", "", "", "")


def test_a_row_holds_the_measure_the_difference_its_interval_and_the_cost(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", EVERYWHERE_BETTER, compute={"pairs": 12_800_000, "seconds": 1234.4})
    table = table_of(tmp_path)
    assert table.columns == (
        "loss", "n", "MRR@10", "sd", "vs BM25", "95 % interval", "p", "win/tie/loss", "pairs", "seconds",
    )  # fmt: skip
    assert table.rows[1] == (
        "lce", "7", "0.688", "0.000", "+0.250 *", "[+0.250, +0.250]", "<.001", "4/0/0", "12.8M", "1,234",
    )  # fmt: skip


def test_one_seed_has_an_interval_over_its_queries_and_neither_a_mark_nor_a_p_value(tmp_path: Path) -> None:
    write_job(tmp_path, "a", EVERYWHERE_BETTER)
    table = table_of(tmp_path)
    assert table.columns == ("loss", "n", "MRR@10", "vs BM25", "95 % interval", "win/tie/loss", "pairs", "seconds")
    assert table.rows[1][3:5] == ("+0.250  ", "[+0.250, +0.250]")
    assert "Intervals over queries, this seed only, so without a mark or a p value." in table.caption


def test_a_row_of_one_seed_next_to_rows_of_several_has_no_mark_either(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", EVERYWHERE_BETTER)
    write_job(tmp_path, "b", EVERYWHERE_BETTER, labels={"negatives": 15})
    table = table_of(tmp_path)
    assert table.columns[4:8] == ("seeds", "vs BM25", "95 % interval", "p")
    assert table.rows[1][4:8] == ("2", "+0.250 *", "[+0.250, +0.250]", "<.001")
    assert table.rows[2][4:8] == ("1", "+0.250  ", "[+0.250, +0.250]", "-")
    assert "Rows of one seed: interval over queries, this seed only, so without a mark" in table.caption


def test_a_difference_whose_interval_reaches_zero_has_no_mark(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", {**FIRST_STAGE, "q4": 0.4})
    # Differences 0, 0, 0, 0.4: their mean 0.1 is as large as their standard error.
    difference, interval = table_of(tmp_path).rows[1][4:6]
    assert difference == "+0.100  "
    assert interval.startswith("[-")


def test_a_model_below_its_first_stage_is_marked_too(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", {query: value - 0.25 for query, value in FIRST_STAGE.items()})
    assert table_of(tmp_path).rows[1][4] == "-0.250 *"


def test_two_seeds_that_agree_by_chance_have_no_mark_where_those_of_other_rows_do_not(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", EVERYWHERE_BETTER)
    assert table_of(tmp_path).rows[1][4] == "+0.250 *"
    write_job(tmp_path, "b", FIRST_STAGE, labels={"negatives": 15, "seed": 1})
    write_job(tmp_path, "c", EVERYWHERE_BETTER, labels={"negatives": 15, "seed": 2})
    # means 0.25 apart: a variance of 0.03125, on average half of it, so a standard error of 0.088 with one degree of
    # freedom, whose quantile is 12.7
    assert table_of(tmp_path).rows[1][4:6] == ("+0.250  ", "[-0.873, +1.373]")


def test_seeds_bring_a_column_for_their_spread(tmp_path: Path) -> None:
    write_job(tmp_path, "a", EVERYWHERE_BETTER, labels={"seed": 1})
    write_job(tmp_path, "b", FIRST_STAGE, labels={"seed": 2})
    table = table_of(tmp_path)
    assert table.columns[2:5] == ("MRR@10", "sd", "vs BM25")
    assert table.rows[1][3] == "0.177"  # 0.25 / sqrt 2


def test_cells_with_different_numbers_of_seeds_say_how_many(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 1})
    write_job(tmp_path, "b", BETTER, labels={"seed": 2})
    write_job(tmp_path, "c", BETTER, labels={"negatives": 15})
    table = table_of(tmp_path)
    assert table.columns[3:5] == ("sd", "seeds")
    assert [row[3:5] for row in table.rows[1:]] == [("0.000", "2"), ("-", "1")]
    assert "1 to 2 seeds a row" in table.caption


def test_only_labels_that_vary_have_a_column(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"source": "bm25"})
    write_job(tmp_path, "b", BETTER, labels={"source": "colbert"})
    table = table_of(tmp_path)
    assert table.columns[:4] == ("loss", "n", "source", "MRR@10")
    assert [row[2] for row in table.rows] == ["", "BM25", "ColBERT"]


def test_the_caption_names_data_queries_seeds_constants_what_can_be_detected_and_ties(tmp_path: Path) -> None:
    write_job(tmp_path, "a", EVERYWHERE_BETTER, labels={"seed": 4}, ties=1)
    assert table_of(tmp_path).caption == (
        "apidocs: 4 test queries, 1 seed (4). All rows: source BM25, backbone bert-tiny. "
        "Intervals over queries, this seed only, so without a mark or a p value. "
        "Smallest difference that these queries detect (80 % power): 0.000. "
        "1 tied score in all jobs, broken by first-stage rank."
    )


def test_the_legend_says_what_the_interval_is_over_what_the_mark_means_and_where_files_lie(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 1})
    alone = dict(legend(findings_of(tmp_path)))
    assert "over queries, this seed only; not corrected" in alone["95 % interval"]
    assert not {"*", "p"} & set(alone)
    assert alone["files"].startswith(f"{tmp_path}/JOB: metrics.json")
    write_job(tmp_path, "b", BETTER, labels={"seed": 2})
    several = dict(legend(findings_of(tmp_path)))
    assert "over queries and seeds; not corrected" in several["95 % interval"]
    assert several["*"] == "the interval excludes 0"
    write_job(tmp_path, "c", BETTER, labels={"negatives": 15})
    assert (
        "over queries and seeds; with one seed over queries, this seed only"
        in dict(legend(findings_of(tmp_path)))["95 % interval"]
    )


def test_cells_are_compared_with_the_one_that_the_study_s_table_names(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", FIRST_STAGE, labels={"negatives": 1})
    write_two_seeds(tmp_path, "b", EVERYWHERE_BETTER)
    (tmp_path / "table.yaml").write_text("{title: t, source: s, reference: {negatives: 1}}")
    table = table_of(tmp_path)
    assert table.columns[4] == "vs reference"
    assert "Reference: negatives 1." in table.caption
    assert [row[4] for row in table.rows] == ["", "reference", "+0.250 *"]


def test_p_values_and_counts_of_queries_won_and_lost_are_details_that_a_terminal_leaves_out(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", BETTER)
    table = table_of(tmp_path)
    assert table.columns[6:8] == ("p", "win/tie/loss")
    # Differences 0.5, 0.5, 0, 0.5: t = 3 with 3 degrees of freedom.
    assert table.rows[1][6:8] == ("0.058", "3/1/0")
    assert table.details == {"p", "win/tie/loss"}
    assert "win/tie/loss" not in printed(tmp_path)


def test_jobs_without_results_are_listed_with_the_first_line_of_why(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    write_unfinished_job(tmp_path, "b", "failed", "CUDA out of memory [3 GiB]\nTraceback")
    write_unfinished_job(tmp_path, "c", "running")
    assert left_out(read_study(tmp_path)) == [
        ("b", "failed", "CUDA out of memory [3 GiB]"),
        ("c", "running", "not finished, or interrupted: run the study again to resume it"),
    ]
    output = printed(tmp_path)
    assert "Not in the table, 2 of 3 jobs:" in output
    assert "CUDA out of memory [3 GiB]" in output  # brackets are not taken for markup


@pytest.mark.parametrize("terminal", [True, False])
def test_a_plain_study_fits_into_80_columns(tmp_path: Path, terminal: bool) -> None:
    for loss in ("bce", "lce"):
        for seed in (1, 2):
            write_job(
                tmp_path, f"{loss}-{seed}", EVERYWHERE_BETTER, labels={"loss": loss, "seed": seed, "negatives": 31}
            )
    output = printed(tmp_path, width=80, terminal=terminal)
    assert max(map(len, output.splitlines())) <= 80
    assert "lce          31    0.688   0.000   +0.250 *   [" in output


def test_a_wide_table_is_not_cut_in_a_file(tmp_path: Path) -> None:
    labels = {"source": "a_retriever_with_a_long_name_that_takes_much_space", "loss": "a_loss_with_a_long_name_too"}
    write_job(tmp_path, "a", BETTER, labels=labels)
    write_job(tmp_path, "b", BETTER, labels={"source": "bm25"})
    row = next(line for line in printed(tmp_path).splitlines() if line.startswith(f"{labels['loss']} "))
    assert labels["source"] in row
    assert row.endswith("80")


def test_markdown_has_a_table_a_block_and_the_captions(tmp_path: Path) -> None:
    write_two_seeds(tmp_path, "a", EVERYWHERE_BETTER)
    write_unfinished_job(tmp_path, "b", "failed", "no space left")
    text = markdown(findings_of(tmp_path))
    columns = "| loss | n | MRR@10 | sd | vs BM25 | 95 % interval | p | win/tie/loss | pairs | seconds |"
    assert f"## BM25 re-ranked, apidocs\n\n{columns}\n| --- | ---: |" in text
    assert "\n| lce | 7 | 0.688 | 0.000 | +0.250 * | [+0.250, +0.250] | <.001 | 4/0/0 | 8,000 | 80 |\n" in text
    assert "- `b` failed: no space left" in text


def test_latex_has_a_float_a_table_with_its_special_characters_escaped(tmp_path: Path) -> None:
    write_two_seeds(tmp_path / "my_study", "a", EVERYWHERE_BETTER, labels={"loss": "bce_two_class"})
    text = latex(findings_of(tmp_path / "my_study"))
    assert r"\label{tab:my-study-1}" in text
    assert r"loss & n & MRR@10 & sd & vs BM25 & 95 \% interval & p" in text
    assert r"bce\_two\_class & 7 & 0.688 & 0.000 & +0.250 *" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 1


def test_csv_has_unrounded_values_p_values_and_the_jobs(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 1})
    write_job(tmp_path, "b", BETTER, labels={"seed": 2})
    write_job(tmp_path, "c", WORSE, labels={"negatives": 15})
    first_stage, better, worse = csv.DictReader(io.StringIO(to_csv(*result_rows(findings_of(tmp_path)))))
    assert (first_stage["loss"], first_stage["value"]) == ("", "0.4375")
    assert (better["negatives"], better["source"], better["seeds"], better["jobs"]) == ("7", "bm25", "2", "a b")
    assert (float(better["value"]), float(better["difference"])) == (0.8125, 0.375)
    assert (better["wins"], better["ties"], better["losses"], better["reference"]) == ("3", "1", "0", "BM25")
    # Differences 0.5, 0.5, 0, 0.5: t = 0.375 / (0.25 / 2) = 3 with 3 degrees of freedom, p = 0.0577; WORSE has the
    # same t, negative.
    assert float(better["p_t"]) == pytest.approx(0.0577, abs=1e-4)
    assert float(worse["p_t"]) == pytest.approx(0.0577, abs=1e-4)
    assert (better["over"], worse["over"]) == ("queries and seeds", "queries")
    assert better["excludes_zero"] == "false"
    assert float(better["p_holm"]) == float(better["p"])  # of one comparison
    assert [worse[name] for name in ("excludes_zero", "p", "p_holm")] == ["", "", ""]  # one seed
