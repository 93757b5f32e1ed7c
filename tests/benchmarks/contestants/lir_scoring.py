"""Re-rank a run by lightning-ir's ``re_rank``: ``RunDataset``, ``ReRankCallback``, one query's passages a batch."""

import itertools
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.contestants.lir_training import load_module
from benchmarks.contestants.runs import NAME, read_run
from benchmarks.harness.child import Calls, serve
from lightning_ir import LightningIRDataModule, LightningIRTrainer, ReRankCallback, RunDataset
from lightning_ir.data.external_datasets.ir_datasets_utils import register_new_dataset
from numpy.typing import NDArray


def make(settings: Mapping[str, Any]) -> Calls:
    """Return the work: a run file with all scores."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    folder, rows = Path(settings["folder"]), read_run(settings)
    register_new_dataset(NAME, docs=str(folder / "docs.tsv"), queries=str(folder / "queries.tsv"))
    module = load_module(settings, "model").eval()
    serial = itertools.count()

    def re_rank() -> Path:
        target = folder / f"lightning_ir_{next(serial)}"
        data = LightningIRDataModule(inference_datasets=[RunDataset(folder / f"{NAME}.run")], inference_batch_size=1)
        callback = ReRankCallback(save_dir=target)
        LightningIRTrainer(
            accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[callback]
        ).re_rank(module, datamodule=data, verbose=False)
        return target

    def scores(target: Path) -> NDArray[np.float64]:
        lines = [line.split() for path in target.glob("*") for line in path.read_text(encoding="utf-8").splitlines()]
        found = {(query, passage): float(score) for query, _, passage, _, score, _ in lines}
        return np.array([found[row["query_id"], row["passage_id"]] for row in rows])

    return Calls(re_rank, units=len(rows), result=scores)


if __name__ == "__main__":
    os.environ.setdefault("IR_DATASETS_HOME", str(Path.cwd() / "ir_datasets"))
    serve(make)
