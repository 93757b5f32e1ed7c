"""The tables that the sweeps declare: the papers' values, typed once more here; cells and claims that speak of jobs
which the grid makes; and the settings of each paper.
"""

from itertools import product

import pytest
from helpers.sweeps import SCALES, SWEEPS, cells_of, jobs_of, layer_cells_of, table

from experiments.analysis.contrasts import find
from experiments.analysis.label_matching import matching
from experiments.config import Experiment
from experiments.config.paper_table import Published

BM25, TCT = "bm25", "tct_colbert"
PAPERS = [one for one in SWEEPS if one.startswith(("nogueira", "gao", "pradeep"))]
GAO = ("gao2021", "gao2021_groups")
SECOND_HAND = ("gao2021",)  # whose cells were read in another text than the authors' own
WITH_VALUES = [*PAPERS, "reference_models", "rank_distillm", "morand2026"]


def schedule_of(experiment: Experiment) -> tuple[float, float, str]:
    """Peak learning rate, warm-up and name of the schedule."""
    scheduler = experiment.scheduler
    return experiment.optimizer.lr, scheduler["warmup"], scheduler["_target_"].rpartition(".")[2]


def values_of(sweep: str, *labels: str) -> dict[tuple[object, ...], float | None]:
    """The published values of a sweep's table by these labels of their cells."""
    return {tuple(one.where[label] for label in labels): one.value for one in table(sweep, "paper").published}


def experiments_of(sweep: str) -> list[Experiment]:
    return [job.experiment for job in jobs_of(sweep, "paper")]


def is_known(cell: Published) -> bool:
    return cell.value is not None


def test_nogueira_2019_as_published():
    assert values_of("nogueira2019", "backbone") == {("bert-base",): 0.347, ("bert-large",): 0.3653}


def test_gao_2021_as_published_with_the_second_hand_cells_marked():
    cells = {tuple(cell.where[label] for label in ("loss", "source", "first_stage")): cell
             for cell in table("gao2021", "paper").published}  # fmt: skip
    retrievers = ("bm25", "indri", "bm25_tuned", "hdct")
    assert set(cells) == {(loss, *pair) for loss in ("bce", "lce") for pair in product(retrievers, retrievers)}
    assert {key: cell.value for key, cell in cells.items() if cell.mark == "primary"} == {
        ("lce", "bm25_tuned", "bm25_tuned"): 0.423,
        ("lce", "hdct", "hdct"): 0.434,
    }
    assert {key: cell.value for key, cell in cells.items() if cell.mark == "second-hand"} == {
        ("bce", "bm25", "bm25"): 0.3697,
        ("bce", "indri", "indri"): 0.3834,
        ("bce", "bm25_tuned", "bm25_tuned"): 0.3928,
        ("bce", "hdct", "hdct"): 0.4084,
        ("bce", "bm25", "hdct"): 0.2898,
        ("lce", "bm25", "bm25"): 0.3966,
        ("lce", "indri", "indri"): 0.3955,
    }


def test_the_size_of_the_group_in_gao_2021_is_a_curve_of_lce_alone():
    assert values_of("gao2021_groups", "loss", "negatives") == {("lce", 1): None, ("lce", 3): None, ("lce", 7): 0.434}
    rises, *_ = table("gao2021_groups", "paper").claims
    assert (rises.kind, rises.over) == ("rises", "negatives")


@pytest.mark.parametrize("sweep", GAO)
def test_gao_2021_is_measured_on_documents_by_mrr_at_100(sweep: str):
    assert table(sweep, "paper").measure == "RR@100"
    assert table(sweep, "paper").data == "msmarco-document"


def test_table_1_of_pradeep_2022_as_published():
    rows = {BM25: (0.378, 0.379, 0.378, 0.391), TCT: (0.365, 0.375, 0.394, 0.401)}
    columns = (("bce_two_class", 1), ("hinge", 1), ("lce", 1), ("lce", 7))
    assert values_of("pradeep2022_losses", "source", "first_stage", "loss", "negatives") == {
        (retriever, retriever, *column): value
        for retriever, row in rows.items()
        for column, value in zip(columns, row, strict=True)
    }


def test_table_2_of_pradeep_2022_as_published():
    assert values_of("pradeep2022_retrievers", "source", "first_stage") == {
        (BM25, BM25): 0.391,
        (BM25, TCT): 0.402,
        (TCT, BM25): 0.389,
        (TCT, TCT): 0.401,
    }


def test_table_3_of_pradeep_2022_as_published():
    rows = {TCT: (0.393, 0.400, 0.401, 0.408, 0.414), BM25: (0.381, 0.397, 0.402, 0.403, 0.407)}
    assert values_of("pradeep2022_negatives", "source", "negatives") == {
        (source, count): value
        for source, row in rows.items()
        for count, value in zip((1, 3, 7, 15, 31), row, strict=True)
    }


def test_rank_distillm_as_published():
    columns = [(retriever, year) for retriever in (BM25, "colbertv2") for year in ("dl19", "dl20")]
    rows = {
        "LCE alone": (0.687, 0.698, 0.739, 0.760),
        "RankNet alone on RD-BM25": (0.644, 0.622, 0.674, 0.654),
        "RankNet alone on RD-ColBERT": (0.709, 0.704, 0.774, 0.754),
        "LCE then RankNet on RD-BM25": (0.672, 0.638, 0.714, 0.683),
        "LCE then RankNet on RD-ColBERT": (0.720, 0.711, 0.768, 0.770),
        "LCE then ADR-MSE on RD-ColBERT": (0.716, 0.709, 0.770, 0.765),
    }
    assert values_of("rank_distillm", "variant", "first_stage", "data") == {
        (variant, *column): value for variant, row in rows.items() for column, value in zip(columns, row, strict=True)
    }
    assert table("rank_distillm", "paper").measure == "nDCG@10"


def test_morand_2026_as_published():
    values = {"bce": 0.531, "distill_ranknet": 0.547, "hinge": 0.548, "info_nce": 0.559, "margin_mse": 0.545}
    assert values_of("morand2026", "loss", "backbone") == {
        (loss, "deberta-v3-base"): value for loss, value in values.items()
    }


@pytest.mark.parametrize("sweep", [one for one in SWEEPS if one not in WITH_VALUES])
def test_no_other_table_has_a_published_value(sweep: str):
    assert [cell for cell in table(sweep, "paper").published if is_known(cell)] == []


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_published_value_has_a_mark_and_stands_beside_a_tolerance_with_its_reason(sweep: str):
    declared = table(sweep, "paper")
    for cell in declared.published:
        known = ("primary", "second-hand") if sweep in SECOND_HAND else ("primary",)
        assert cell.mark in known if is_known(cell) else cell.mark == "unknown"
    if any(map(is_known, declared.published)):
        assert declared.data
        assert declared.tolerance
        assert declared.tolerance_source


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_table_is_the_same_at_both_scales_but_for_the_layer_that_is_the_last(sweep: str):
    mini, paper = (table(sweep, scale) for scale in SCALES)
    assert mini.published == paper.published
    assert [one.says for one in mini.claims] == [one.says for one in paper.claims]
    assert mini.claims, "a table without a claim says nothing"


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_published_cell_is_one_cell_of_the_grid_and_the_reference_is_one_too(sweep: str, scale: str):
    declared, cells = table(sweep, scale), cells_of(sweep, scale)
    for one in declared.published:
        assert len(matching(cells, one.where, declared.stand_ins)) == 1, one
    assert matching(cells, {**declared.where, **declared.reference}, declared.stand_ins)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sweep", PAPERS)
def test_every_cell_of_a_papers_grid_is_in_its_table(sweep: str, scale: str):
    declared, cells = table(sweep, scale), cells_of(sweep, scale)
    covered = [found for one in declared.published for found in matching(cells, one.where, declared.stand_ins)]
    assert {str(one.labels) for one in covered} == {str(one.labels) for one in cells}


@pytest.mark.parametrize("sweep", PAPERS)
def test_a_papers_cells_are_on_the_papers_data_at_paper_scale(sweep: str):
    assert {one.labels["data"] for one in cells_of(sweep, "paper")} == {table(sweep, "paper").data}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_claim_has_cells_to_compare_and_leaves_none_without_a_counterpart(sweep: str, scale: str):
    declared = table(sweep, scale)
    for claim in declared.claims:
        cells = layer_cells_of(sweep, scale) if claim.of == "layers" else cells_of(sweep, scale)
        found = find(claim, cells, declared.stand_ins)
        assert found.pairs, claim.says
        assert found.lacking == "", claim.says


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_labels_that_span_a_table_are_labels_of_its_cells(sweep: str):
    declared = table(sweep, "paper")
    for labels in (one.labels for one in cells_of(sweep, "paper")):
        assert {*declared.rows, *declared.columns} <= set(labels)


def test_nogueira_2019_is_trained_on_128_pairs_a_step_for_100_000_steps():
    for one in experiments_of("nogueira2019"):
        assert (one.batch.unit, one.batch.size, one.batch.queries(1)) == ("pairs", 128, 64)
        assert (one.budget.unit, one.budget.size) == ("pairs", 100_000 * 128)
        assert (one.negatives.count, one.negatives.depth) == (1, 1000)
        assert one.first_stage_depth == 1000
        assert (one.loss["name"], one.model.logits) == ("bce_two_class", 2)
        assert (one.model.max_length, one.model.max_query_tokens, one.model.dropout) == (512, 64, 0.1)
        assert schedule_of(one) == (3e-6, 10_000, "linear")
        assert (one.optimizer.weight_decay, one.optimizer.clip) == (0.01, 1.0)
    assert [one.backbone.path for one in experiments_of("nogueira2019")] == ["bert-base-uncased", "bert-large-uncased"]


@pytest.mark.parametrize("sweep", GAO)
def test_gao_2021_is_trained_on_documents_with_four_queries_a_step_for_two_epochs(sweep: str):
    for one in experiments_of(sweep):
        assert one.data.source["splits"] == {
            "train": "msmarco-document/train",
            "dev": None,
            "test": "msmarco-document/dev",
        }
        assert one.data.source["fields"] == ["url", "title", "body"]
        assert (one.model.document, one.model.max_query_tokens) == ("first_p", 50)
        assert one.backbone.path == "bert-base-uncased"
        assert (one.batch.unit, one.batch.size) == ("queries", 4)
        assert (one.budget.unit, one.budget.size) == ("groups", 2 * 367_013)
        assert one.model.max_length == 512
        assert schedule_of(one) == (1e-5, 0.1, "linear")
        assert one.optimizer.weight_decay == 0.01
        assert one.validation.select == "last"
        rule = one.negatives
        assert (rule.depth, rule.pool, rule.replacement, rule.positives, rule.redraw) == (
            100,
            10,
            False,
            "all",
            "epoch",
        )
        assert one.first_stage_depth == 100
        assert one.measures[0] == "RR@100"


def test_gao_2021_trains_both_losses_on_each_retriever_and_tests_each_model_on_all():
    retrievers = ["bm25", "indri", "bm25_tuned", "hdct"]
    cells = [(one.negatives.source, one.loss["name"]) for one in experiments_of("gao2021")]
    assert cells == [(source, loss) for source in retrievers for loss in ("bce", "lce")]
    for one in experiments_of("gao2021"):
        assert (one.negatives.count, one.first_stage) == (7, retrievers)
        assert [one.retrievers[name]["k1"] for name in ("bm25", "bm25_tuned")] == [0.9, 3.8]
        assert [one.retrievers[name]["b"] for name in ("bm25", "bm25_tuned")] == [0.4, 0.87]


def test_the_groups_of_gao_2021_are_of_two_four_and_eight_passages_of_hdct():
    cells = [(one.loss["name"], one.negatives.source, one.negatives.count) for one in experiments_of("gao2021_groups")]
    assert cells == [("lce", "hdct", 1), ("lce", "hdct", 3), ("lce", "hdct", 7)]
    assert {tuple(one.first_stage) for one in experiments_of("gao2021_groups")} == {("hdct",)}


@pytest.mark.parametrize("sweep", GAO)
def test_gao_2021_is_small_at_mini_scale(sweep: str):
    jobs = [job.experiment for job in jobs_of(sweep, "mini")]
    pairs = sum(one.budget.size * (one.negatives.count + 1) for one in jobs) * 3  # seeds
    scored = sum(len(one.first_stage) * one.rerank_depth * one.data.queries.test for one in jobs) * 3
    assert pairs <= 336_000
    assert scored <= 900_000


def test_two_epochs_are_those_of_the_training_queries_of_the_catalogue():
    ir_datasets = pytest.importorskip("ir_datasets")
    count = ir_datasets.load("msmarco-document/train").metadata()["queries"]["count"]
    assert experiments_of("gao2021")[0].budget.size == 2 * count


@pytest.mark.parametrize("sweep", ["pradeep2022_losses", "pradeep2022_retrievers", "pradeep2022_negatives"])
def test_pradeep_2022_is_trained_on_16_queries_a_step_whatever_n_is_for_30_000_steps(sweep: str):
    for one in experiments_of(sweep):
        assert one.backbone.path == "google/electra-base-discriminator"
        assert (one.model.max_length, one.model.max_query_tokens) == (256, 50)
        assert one.batch.queries(one.negatives.count) == 16
        assert (one.budget.unit, one.budget.size) == ("groups", 30_000 * 16)
        assert schedule_of(one) == (1e-5, 3000, "inverse_time")
        assert one.optimizer.weight_decay == 0
        rule = one.negatives
        assert (rule.depth, rule.replacement, rule.positives, rule.pool) == (200, True, "retrieved", None)
        assert one.first_stage_depth == 1000
        assert one.validation.select == "last"


def test_the_pairs_of_a_step_grow_with_n_in_table_3_of_pradeep_2022():
    pairs = {
        one.negatives.count: one.batch.queries(one.negatives.count) * (one.negatives.count + 1)
        for one in experiments_of("pradeep2022_negatives")
    }
    assert pairs == {1: 32, 3: 64, 7: 128, 15: 256, 31: 512}


def test_cross_entropy_in_table_1_of_pradeep_2022_ranks_by_the_logit_of_the_relevant_class():
    ranks = {(one.loss["name"], one.model.logits, one.model.rank_by) for one in experiments_of("pradeep2022_losses")}
    assert ranks == {
        ("bce_two_class", 2, "positive_logit"),
        ("hinge", 1, "log_odds"),
        ("lce", 1, "log_odds"),
    }


@pytest.mark.parametrize("scale", SCALES)
def test_in_table_1_of_pradeep_2022_each_model_re_ranks_the_source_of_its_negatives(scale: str):
    for one in (job.experiment for job in jobs_of("pradeep2022_losses", scale)):
        assert one.first_stage == [one.negatives.source]


def test_equal_compute_gives_every_n_the_pairs_and_steps_of_the_papers_n_7():
    sizes = {
        (one.budget.unit, one.budget.size, one.batch.queries(one.negatives.count) * (one.negatives.count + 1))
        for one in experiments_of("equal_compute")
    }
    assert sizes == {("pairs", 30_000 * 128, 128)}


def test_equal_compute_is_the_grid_of_table_3():
    cells = [(one.negatives.source, one.negatives.count, one.first_stage) for one in experiments_of("equal_compute")]
    assert cells == [
        (one.negatives.source, one.negatives.count, one.first_stage) for one in experiments_of("pradeep2022_negatives")
    ]


@pytest.mark.parametrize("scale", SCALES)
def test_lce_in_the_comparison_of_losses_is_the_n_7_of_table_1(scale: str):
    names = {job.name for job in jobs_of("pradeep2022_losses", scale)}
    assert [job.name in names for job in jobs_of("losses", scale)] == [True] + [False] * 6
