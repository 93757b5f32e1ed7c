"""The page of simulated rates is what its command writes: some of its rows are made again."""

import pytest
from benchmarks.simulate_statistics import PAGE, found_row, study_rows, two_row

STATISTICS = PAGE.with_name("statistics.md")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return PAGE.read_text(encoding="utf-8").splitlines()


def test_rates_of_two_equal_settings(lines: list[str]) -> None:
    assert two_row(2, 0.05) in lines


def test_rates_of_false_verdicts_and_of_marks(lines: list[str]) -> None:
    verdicts, marks = study_rows("rankings", 1.0, 300)
    assert verdicts in lines
    assert marks in lines


def test_rates_of_true_differences_found(lines: list[str]) -> None:
    assert found_row(0.1, 0.02) in lines


def test_the_page_on_statistics_has_the_ranges_of_false_verdicts(lines: list[str]) -> None:
    start = lines.index("## Studies of six equal settings and two claims")
    rows = [line for line in lines[start : lines.index("## The same studies' tables")] if line.endswith(") |")]
    usual = [row for row in rows if "| 1000 |" not in row]
    assert len(usual) == 8 * 2
    by_seeds = zip(*([float(cell.split("(")[0]) for cell in row.split("|")[3:6]] for row in usual), strict=True)
    ranges = " | ".join(f"{min(rates)} to {max(rates)} %" for rates in by_seeds)
    assert f"false verdict on one of two claims | {ranges} |" in STATISTICS.read_text(encoding="utf-8")
