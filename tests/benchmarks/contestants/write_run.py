"""Write what all contestants of re-ranking share: a BM25 run over a few queries and a cross-encoder.

In the folder of the line: ``run.jsonl`` (ids and texts of each pair), ``model`` (a Hugging Face folder; its head is
random, with scores spread as a trained one's), and the same for lightning-ir: ``benchmark.run``, ``queries.tsv`` and
``docs.tsv``.
"""

import json
import sys
from pathlib import Path

from benchmarks.contestants.collection import collection_of, read_texts
from benchmarks.contestants.runs import NAME

HEAD_SD = 0.1


def main() -> None:
    """Write everything."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder, texts = Path(settings["folder"]), collection_of(settings)
    import torch  # not for the processes that read the texts
    from benchmarks.contestants.job import Job, overrides

    job = Job.open(overrides(settings, 0.0))
    torch.manual_seed(0)
    torch.nn.init.normal_(job.setup.module.network.classifier.weight, std=HEAD_SD)
    job.setup.module.finish_training()
    job.setup.module.export(folder / "model")
    queries, passages = read_texts(texts / "queries.jsonl"), read_texts(texts / "corpus.jsonl")
    run = next(iter(job.inputs.test.values()))
    pairs = [
        (query, passage)
        for row, own in zip(run.queries.tolist(), run.passages, strict=True)
        for query in [job.collection.queries.id(row)]
        for passage in job.collection.passages.ids(own)
    ]
    rows = [{"query_id": q, "query": queries[q], "passage_id": p, "passage": passages[p]} for q, p in pairs]
    (folder / "run.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    ranked = [f"{query} Q0 {passage} {rank} {-rank} bm25" for rank, (query, passage) in enumerate(pairs, 1)]
    (folder / f"{NAME}.run").write_text("\n".join(ranked) + "\n", encoding="utf-8")
    for name, own in (("queries.tsv", queries), ("docs.tsv", passages)):
        (folder / name).write_text("".join(f"{key}\t{text}\n" for key, text in own.items()), encoding="utf-8")


if __name__ == "__main__":
    main()
