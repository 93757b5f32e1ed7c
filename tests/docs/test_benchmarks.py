"""The speed table: every line declares what it must, ratios are right, and table and page say what the records say."""

import json
from pathlib import Path

import pytest
from benchmarks.harness import page
from benchmarks.harness.line import LINES, Contestant, Line, Recorded, load, names
from benchmarks.harness.results import Rounds, met, ratio_of, record_of, spearman
from rich.console import Console

CONTESTANTS = LINES.with_name("contestants")
MAKEFILE = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
MACHINE = {"cpu": "A CPU (avx2)", "cores": 2, "memory_gib": 24, "system": "Linux", "python": "3.11.7"}
HOW = {"command": "make bench", "date": "2026-01-02", "machine": MACHINE, "threads": 1, "data": "texts"}
OURS = Contestant("ours", program="our_training")
PEER = Contestant("a library", program="st_training", packages=("library",), target=2.0, tolerance=1e-5)


@pytest.fixture
def line() -> Line:
    return Line(title="training", unit="group", ours=OURS, against=(PEER,), equal="scores", note="A remark.")


@pytest.fixture
def rounds() -> Rounds:
    """Two groups a round: ours takes 1, 2 and 3 CPU seconds, the library 4, 5 and 12; on the wall twice as long."""
    timings = {
        "ours": [{"cpu": cpu, "wall": 2 * cpu, "units": 2} for cpu in (1.0, 2.0, 3.0)],
        "a library": [{"cpu": cpu, "wall": 2 * cpu, "units": 2} for cpu in (4.0, 5.0, 12.0)],
    }
    return Rounds(timings, {"ours": {"torch": "2.13"}, "a library": {"library": "1.2"}}, {"a library": 2e-7})


@pytest.mark.parametrize("name", names())
def test_line_declares_what_it_must(name: str) -> None:
    line = load(name)
    assert line.title
    assert line.unit
    assert line.against
    assert len({other.label for other in (line.ours, *line.against)}) == 1 + len(line.against)
    for contestant in line.contestants:
        assert (CONTESTANTS / f"{contestant.program}.py").is_file()
        assert contestant.environment == "project" or f".bench/{contestant.environment}: " in MAKEFILE
    assert line.prepare is None or (CONTESTANTS / f"{line.prepare}.py").is_file()


@pytest.mark.parametrize("name", names())
def test_other_programs_are_compared_where_their_results_have_a_tolerance(name: str) -> None:
    line = load(name)
    assert line.equal or all(other.tolerance is None for other in line.contestants)


def test_ratio_is_of_the_medians_and_its_spread_of_the_rounds() -> None:
    assert ratio_of([1.0, 2.0, 4.0], [4.0, 5.0, 6.0]) == {"ratio": 2.5, "least": 1.5, "greatest": 4.0}


@pytest.mark.parametrize(
    ("ratio", "target", "seconds", "at_most", "expected"),
    [
        (2.0, 2.0, 1.0, None, True),
        (1.9, 2.0, 1.0, None, False),
        (9.0, None, 1.5, 1.5, True),
        (9.0, 2.0, 1.6, 1.5, False),
        (9.0, None, 1.0, None, None),
    ],
)
def test_targets(
    ratio: float, target: float | None, seconds: float, at_most: float | None, expected: bool | None
) -> None:
    assert met(ratio, target, seconds, at_most) is expected


def test_record_has_times_of_a_unit_and_ratios(line: Line, rounds: Rounds) -> None:
    row = record_of(line, rounds, HOW)["rows"][0]
    assert (row["ours"], row["theirs"]) == (1.0, 2.5)
    assert (row["ratio"], row["least"], row["greatest"]) == (2.5, 2.5, 4.0)
    assert (row["difference"], row["version"], row["met"]) == (2e-7, "1.2", True)


def test_recorded_number_is_compared_with_every_round(rounds: Rounds) -> None:
    before = Recorded("before", seconds=3.0, source="commit 1a2b3c4", target=2.0)
    line = Line(title="start", unit="start", ours=OURS, against=(before,), seconds_at_most=0.9)
    row = record_of(line, rounds, HOW)["rows"][0]
    assert (row["ratio"], row["least"], row["greatest"]) == (3.0, 2.0, 6.0)
    assert row["met"] is False  # 1 s is more than 0.9


def test_rank_correlation() -> None:
    assert spearman([0.1, 0.2, 0.3], [5.0, 6.0, 7.0]) == pytest.approx(1.0)
    assert spearman([0.1, 0.2, 0.3], [7.0, 6.0, 5.0]) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("value", "expected"), [(1.7, "1.70 s a group"), (0.0541, "54.1 ms a group"), (3.2e-5, "32.0 us a group")]
)
def test_seconds_have_three_digits(value: float, expected: str) -> None:
    assert page.seconds(value, "group") == expected


def test_page_and_table_from_a_record(line: Line, rounds: Rounds) -> None:
    records = {"train": json.loads(json.dumps(record_of(line, rounds, HOW)))}
    text = page.page({"cpu": records}, ["gpu_train"])
    row = "| training | a library 1.2 | 1.00 s a group | 2.50 s a group | 2.50x | 2.50 - 4.00 | 2x | yes |"
    assert row in text
    assert "equal are the scores." in text
    assert "A remark." in text
    assert "## On a CPU without AVX-512" in text
    assert "with AVX-512" not in text, "nothing was measured on one"
    assert "A CPU (avx2), 2 cores, 24 GiB" in text
    assert 'No run of this line has been recorded: `make bench LINES="gpu_train"`' in text
    console = Console(width=200, record=True)
    console.print(page.terminal(records))
    assert "2.50x" in console.export_text()


@pytest.mark.parametrize(
    ("device", "cpu", "expected"),
    [
        ("cpu", "AMD EPYC (avx2)", "cpu"),
        ("cpu", "AMD EPYC (avx512_vnni)", "cpu_avx512"),
        ("cpu", "arm64", "cpu"),
        ("gpu", "AMD EPYC (avx512_vnni)", "gpu"),
    ],
)
def test_each_kind_of_machine_has_its_own_table(device: str, cpu: str, expected: str) -> None:
    assert page.kind_of(device, {"cpu": cpu}) == expected


def test_page_is_what_the_records_give() -> None:
    gpu_lines = [name for name in names() if load(name).device == "gpu"]
    records = {kind: page.read(page.RECORDS / f"{kind}.json") for kind in page.KINDS}
    assert page.PAGE.read_text(encoding="utf-8") == page.page(records, gpu_lines)
