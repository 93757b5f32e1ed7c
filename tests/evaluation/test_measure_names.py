"""Names of measures: the one name that each has in all results, the grade it takes, and what is refused."""

import pytest

from experiments.common.errors import ExperimentError
from experiments.evaluation.measure_names import check_computable, check_depth, mean_name, parse, resolve, unresolved

DEFAULTS = ["RR@10", "nDCG@10", "R@50", "AP"]


def test_measures_keep_their_names_where_grade_1_is_relevant():
    assert resolve(DEFAULTS, 1) == DEFAULTS


def test_a_measure_with_a_threshold_takes_the_declared_grade_and_graded_gains_stay():
    assert resolve(DEFAULTS, 2) == ["RR(rel=2)@10", "nDCG@10", "R(rel=2)@50", "AP(rel=2)"]
    assert resolve(["P@5", "Success@1", "Rprec", "SetRelP", "Judged@10"], 3) == [
        "P(rel=3)@5", "Success(rel=3)@1", "Rprec(rel=3)", "SetP(relative=True,rel=3)", "Judged@10",
    ]  # fmt: skip


def test_a_threshold_that_is_written_stays():
    assert resolve(["RR(rel=1)@10", "RR(rel=3)@10", "RR@10"], 2) == ["RR(rel=1)@10", "RR(rel=3)@10", "RR(rel=2)@10"]


@pytest.mark.parametrize(
    ("written", "name"),
    [("MRR@10", "RR@10"), ("MAP", "AP"), ("RR(rel=1)@10", "RR@10"), ("Recall@5", "R@5"), ("RR(cutoff=10)", "RR@10")],
)
def test_an_alias_is_the_measure_it_stands_for(written: str, name: str):
    assert resolve([written], 1) == [name]


def test_hits_is_success_under_its_own_name():
    assert resolve(["Hits@10"], 1) == ["Hits@10"]
    assert resolve(["Hits@10"], 2) == ["Hits(rel=2)@10"]
    assert [str(measure) for measure in parse(["Hits(rel=2)@10"])] == ["Success(rel=2)@10"]


@pytest.mark.parametrize("min_grade", [1, 2])
def test_a_resolved_name_resolves_to_itself_and_back(min_grade: int):
    written = ["RR@10", "nDCG@10", "Hits@3", "AP", "RR(rel=3)@5"]
    resolved = resolve(written, min_grade)
    assert resolve(resolved, min_grade) == resolved
    assert [unresolved(name, min_grade) for name in resolved] == written
    assert unresolved("RR(rel=1)@5", 2) == "RR(rel=1)@5"


@pytest.mark.parametrize(
    ("names", "min_grade", "said"),
    [
        (["RR@10", "MRR@10"], 1, "RR@10 and MRR@10 are one measure, RR@10"),
        (["RR@10", "RR(rel=1)@10"], 1, "RR@10 and RR(rel=1)@10 are one measure"),
        (["AP", "nDCG@10", "MAP"], 1, "AP and MAP are one measure"),
        (["RR@10", "RR@10"], 1, "RR@10 and RR@10 are one measure"),
        (["RR@10", "RR(rel=2)@10"], 2, "RR@10 and RR(rel=2)@10 are one measure, RR(rel=2)@10"),
        (["Hits@10", "Success@10"], 1, "Hits@10 and Success@10 are one measure"),
    ],
)
def test_two_names_of_one_measure_are_refused(names: list[str], min_grade: int, said: str):
    with pytest.raises(ExperimentError) as found:
        resolve(names, min_grade, "probe.measures")
    assert str(found.value).startswith(f"probe.measures: {said}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("XX@10", "ir-measures does not know 'XX@10'"),
        ("", "ir-measures does not know ''"),
        ("RR@", "ir-measures does not know 'RR@'"),
        ("R", "'R' is no measure: R takes cutoff (int, needed), rel (int), judged_only (bool)"),
        ("RR(depth=3)", "'RR(depth=3)' is no measure: RR takes cutoff (int), rel (int)"),
        ("RR@10.5", "'RR@10.5' is no measure"),
        (
            "AP@0",
            "'AP@0' is no measure: its cutoff must be a whole number, at least 1",
        ),
        ("RR@True", "'RR@True' is no measure: its cutoff"),
        ("R(rel=0)@10", "'R(rel=0)@10' is no measure: its rel"),
        ("NumQ", "NumQ counts queries and scores none"),
        ("NumRet", "NumRet counts"),
        ("NumRelRet", "NumRelRet counts"),
    ],
)
def test_what_is_no_measure_of_single_queries_is_refused(name: str, said: str):
    with pytest.raises(ExperimentError) as found:
        resolve([name], 1)
    assert said in str(found.value)


def test_no_measure_at_all_is_refused():
    with pytest.raises(ExperimentError, match=r"probe\.measures is empty: name at least one"):
        resolve([], 1, "probe.measures")


def test_measures_that_are_there_are_computable():
    check_computable([*DEFAULTS, "P@5", "Success@1", "Hits@3", "Rprec", "Bpref", "Judged@10", "Compat", "IPrec@0.1"])


def test_a_measure_whose_package_is_not_installed_says_what_to_install():
    with pytest.raises(ExperimentError, match=r"RBP\(rel=1\) cannot .* here: .*pip install ir-measures\[cwl_eval\]"):
        check_computable(["RR@10", "RBP(rel=1)"])
    with pytest.raises(ExperimentError, match=r"probe.measures: alpha_nDCG@20 .*pip install ir-measures\[pyndeval\]"):
        check_computable(["alpha_nDCG@20"], "probe.measures")


def test_a_measure_that_fails_where_nothing_relevant_is_found_is_refused():
    with pytest.raises(ExperimentError, match="Accuracy cannot be computed here: ZeroDivisionError"):
        check_computable(["Accuracy"])
    with pytest.raises(ExperimentError, match="ERR cannot be computed here: ir-measures has nothing that computes it"):
        check_computable(["ERR"])  # only with a cutoff


def test_a_measure_that_looks_deeper_than_the_run_is_refused():
    check_depth(["R@50", "AP", "nDCG", "RR"], 50, "measures", "first_stage_depth")
    with pytest.raises(ExperimentError) as found:
        check_depth(["RR@10", "R@100", "P@80"], 50, "measures", "first_stage_depth")
    assert str(found.value) == (
        "measures: R@100 and P@80 look at up to 100 passages, but first_stage_depth=50: set first_stage_depth=100, or "
        "measure R@50 and P@50"
    )
    with pytest.raises(ExperimentError, match=r"R\(rel=2\)@100 looks at 100 .* or measure R\(rel=2\)@50"):
        check_depth(["R(rel=2)@100"], 50, "measures", "first_stage_depth")


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("RR@10", "MRR@10"),
        ("AP", "MAP"),
        ("AP@100", "MAP@100"),
        ("RR(rel=2)@10", "MRR@10 (grade >= 2)"),
        ("R(rel=2)@100", "R@100 (grade >= 2)"),
        ("nDCG@10", "nDCG@10"),
        ("RBP(p=0.8)", "RBP(p=0.8)"),
        ("RR@10 and RR(rel=2)@10", "MRR@10 and MRR@10 (grade >= 2)"),
    ],
)
def test_means_are_called_as_the_field_calls_them(name: str, called: str):
    assert mean_name(name) == called
