"""Placeholders in a text: what each becomes, and what is said of one that cannot be filled."""

from pathlib import Path

import pytest
from helpers.findings import write_study
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.findings import Findings, findings_of
from experiments.common.errors import ExperimentError
from experiments.reporting.placeholders import fill, typed_decimals

OTHER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}  # mean 0.8125


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    """``losses``: BCE (mean 0.4375) and LCE (0.5625), seven negatives; ``counts``: n = 1 with two seeds, 3 and 7."""
    folder = tmp_path_factory.mktemp("studies")
    write_study(folder / "losses")
    for name, values, labels in (
        ("a", OTHER, {"negatives": 1, "seed": 1}),
        ("b", FIRST_STAGE, {"negatives": 1, "seed": 2}),
        ("c", FIRST_STAGE, {"negatives": 7, "budget": "8,192 pairs"}),
        ("d", OTHER, {"negatives": 3, "infused": "none"}),
        ("e", FIRST_STAGE, {"negatives": 3, "infused": "embeddings"}),
    ):
        write_job(folder / "counts", name, values, labels={"budget": "4,096 pairs", **labels})
    return {name: findings_of(folder / name) for name in ("losses", "counts")}


@pytest.mark.parametrize(
    ("placeholder", "value"),
    [
        ("mean loss=lce", "0.562"),  # (1 + 0.25 + 1 + 0) / 4
        ("mean loss=lce negatives=7 source=bm25 first_stage=bm25", "0.562"),
        ("mean study=counts negatives=1", "0.625"),  # (0.8125 + 0.4375) / 2
        ("mean study=counts 'budget=8,192 pairs'", "0.438"),
        ("sd study=counts negatives=1", "0.265"),  # (0.8125 - 0.4375) / sqrt(2)
        ("sd loss=lce", "-"),
        ("mean study=counts negatives=3 infused=none", "0.812"),  # the label's own name
        ("mean study=counts negatives=7 infused=none", "0.438"),  # a job that has no such label
        ("seeds study=counts negatives=1", "1, 2"),
        ("pairs loss=lce", "8,000"),
        ("seconds loss=lce", "80"),
        ("first_stage bm25", "0.438"),
        ("first_stage bm25 data=apidocs", "0.438"),
        ("published loss=bce", "0.450"),
        ("published loss=lce negatives=31", "0.600"),
        ("jobs", "2"),
        ("cost", "25 s"),  # 2 x 12.3
        ("verdict 1", "undecided"),
        ("quote 0.412 from Pradeep 2022,\nTable 3", "0.412 (Pradeep 2022, Table 3)"),
    ],
)
def test_a_placeholder_becomes_its_value(studies: dict[str, Findings], placeholder: str, value: str):
    assert fill(f"It is {{{{ {placeholder} }}}}.", studies, "losses", "a.md") == f"It is {value}."


def test_a_difference_has_its_interval_and_is_that_of_the_report(studies: dict[str, Findings]):
    result = next(result for result in studies["losses"].results if result.setting.labels["loss"] == "lce")
    versus = result.comparison
    assert versus is not None
    expected = f"{versus.mean:+.3f} [{versus.low:+.3f}, {versus.high:+.3f}]"
    assert fill("{{ difference loss=lce }}", studies, "losses", "a.md") == expected
    assert expected.startswith("+0.125 ["), "0.5625 - 0.4375"


def test_labels_after_minus_replace_those_before(studies: dict[str, Findings]):
    filled = fill("{{ difference loss=lce negatives=7 minus loss=bce }}", studies, "losses", "a.md")
    assert filled.startswith("+0.125 ["), "+0.5, -0.75, +0.75 and 0, over 4 queries"
    other_way = fill("{{ difference loss=bce negatives=7 minus loss=lce }}", studies, "losses", "a.md")
    assert other_way.startswith("-0.125 [")


def test_another_measure_can_be_asked_for(tmp_path: Path):
    write_job(tmp_path / "a", "x", OTHER, measure="nDCG@10")
    studies = {"a": findings_of(tmp_path / "a")}
    filled = fill("{{ mean measure=nDCG@10 loss=lce }} {{ difference measure=nDCG@10 loss=lce }}", studies, "a", "a.md")
    assert filled.startswith("0.812 +0.375 ["), "0.8125 - 0.4375"


@pytest.mark.parametrize(
    ("placeholder", "message"),
    [
        ("mean loss=lce negatives=3", "no setting has them; there are loss=bce; loss=lce"),
        ("mean negatives=7", "2 settings have these labels: add some of loss=bce; loss=lce"),
        ("mean los=lce", "no finished cell has the label 'los': the labels are"),
        ("mean study=counts budget=8,192 pairs", "'pairs' is no label=value"),
        ("maen loss=lce", "there is no value 'maen'"),
        ("mean study=others loss=lce", "there is no study 'others': there are losses, counts"),
        ("difference loss=lce minus negatives=7", "both sides are the same setting"),
        ("first_stage colbert", "0 first stages have this name: there are bm25 data=apidocs"),
        ("published loss=hinge", "0 published values have these labels, of 3 in the study's table"),
        ("verdict 2", "name one of the study's claims by its number: 1 to 1"),
        ("quote 0.412", "write quote NUMBER from SOURCE"),
        ("", "it is empty"),
    ],
)
def test_one_that_cannot_be_filled_is_named_with_file_and_line(
    studies: dict[str, Findings], placeholder: str, message: str
):
    with pytest.raises(ExperimentError) as error:
        fill(f"One.\n\nTwo {{{{ {placeholder} }}}}.", studies, "losses", "docs/findings/a.md")
    assert str(error.value).startswith("docs/findings/a.md, line 3, {{ ")
    assert message in str(error.value)


def test_a_half_of_a_placeholder_is_refused(studies: dict[str, Findings]):
    with pytest.raises(ExperimentError, match=r"a\.md: a \{\{ without its other half"):
        fill("It is {{ mean loss=lce }.", studies, "losses", "a.md")


@pytest.mark.parametrize("text", ["It is 0.412.", "It is .412", "by +0.412 [0", "1.5x faster", "(0.412)", "`0.412`"])
def test_a_typed_decimal_is_found(text: str):
    ((line, number),) = typed_decimals(f"---\n{text}")
    assert (line, number.strip("0.")) in ((2, "412"), (2, "1.5"))


@pytest.mark.parametrize(
    "text",
    [
        "{{ quote 0.412 from Pradeep 2022 }}",
        "{{ mean 'budget=0.5 x' }}",
        "`optimizer.lr=0.0005 loss=lce`",
        "torch 2.13.0, Table 3, n = 7, 12 %",
        "https://arxiv.org/abs/2304.12345",
        "bm25.tsv",
    ],
)
def test_quotations_settings_versions_and_addresses_are_no_typed_results(text: str):
    assert typed_decimals(text) == []
