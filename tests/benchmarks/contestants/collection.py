"""Write the texts of all lines once: a collection in BEIR's layout whose texts are cut to numbers of tokens.

The texts are API documentation of installed packages, as in the quickstart, or a folder in BEIR's layout. They are cut
so that no pair exceeds a line's length: no contestant has to cut, and all read the same tokens. The modules at the top
are light, since the reader's processes import them too.
"""

import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = "+data.source.packages=[numpy,scipy]"  # to read all takes a minute
QUERIES, PASSAGES, HELD_OUT = 1500, 6000, 20
SEED = 1


def collection_of(settings: Mapping[str, Any]) -> Path:
    """Return the folder of the texts cut to ``query_tokens`` and ``passage_tokens``; write it if it is not there."""
    folder = Path(settings["shared"]) / f"texts_{settings['query_tokens']}_{settings['passage_tokens']}"
    if not folder.exists():
        temporary = folder.with_suffix(".part")
        write_collection(settings, temporary)
        temporary.rename(folder)
    return folder


def write_collection(settings: Mapping[str, Any], folder: Path) -> None:
    """Write some training queries, their answers and other passages."""
    from experiments.config import compose
    from experiments.models.backbone import source_of
    from experiments.pretrained.tokenizer import tokenizer_of

    compose.register()
    where = ["data=beir", f"data.path={settings['data']}"] if settings["data"] else ["data=apidocs", PACKAGES]
    experiment = compose.check(compose.composed(*where, "backbone=minilm"))
    source: Any = compose.source_of(experiment)
    tokenizer = tokenizer_of(source_of(experiment.backbone))
    train = sorted((query, passage) for query, passage, grade in source.qrels()["train"] if grade > 0)
    kept = set(drawn({query for query, _ in train}, QUERIES))
    judged = [(query, passage) for query, passage in train if query in kept]
    answers = {passage for _, passage in judged}
    passages = dict(source.passages())
    chosen = [*sorted(answers), *drawn(passages.keys() - answers, PASSAGES - len(answers))]
    texts = {f"p{i}": passages[name] for i, name in enumerate(chosen)}
    names = {name: f"p{i}" for i, name in enumerate(chosen)}
    queries = {query: text for query, text in source.queries() if query in kept}
    of_query = {name: f"q{i}" for i, name in enumerate(queries)}
    folder.mkdir(parents=True)
    write_rows(folder / "corpus.jsonl", cut(texts, settings["passage_tokens"], tokenizer))
    asked = {of_query[name]: text for name, text in queries.items()}
    write_rows(folder / "queries.jsonl", cut(asked, settings["query_tokens"], tokenizer))
    write_qrels(folder / "qrels", [(of_query[query], names[passage]) for query, passage in judged])


def drawn(names: "set[str]", count: int) -> list[str]:
    """Return so many of the names at random, or all."""
    ordered = sorted(names)
    random.Random(SEED).shuffle(ordered)
    return ordered[: max(count, 0)]


def cut(texts: Mapping[str, str], tokens: int, tokenizer: Any) -> dict[str, str]:
    """Return the texts, on one line, each to the end of its last token among the first so many."""
    plain = {name: " ".join(text.split()) for name, text in texts.items()}
    spans = tokenizer(list(plain.values()), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ends = [span[:tokens][-1][1] if span else 0 for span in spans["offset_mapping"]]
    return {name: text[:end] for (name, text), end in zip(plain.items(), ends, strict=True)}


def write_rows(path: Path, texts: Mapping[str, str]) -> None:
    """Write texts as BEIR does."""
    rows = [json.dumps({"_id": name, "title": "", "text": text}) for name, text in texts.items()]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_qrels(folder: Path, judged: list[tuple[str, str]]) -> None:
    """Write judgements: a few queries for dev and test, which nothing times, the others for training."""
    order = list(dict.fromkeys(query for query, _ in judged))
    held_out = {"dev": set(order[:HELD_OUT]), "test": set(order[HELD_OUT : 2 * HELD_OUT])}
    held_out["train"] = set(order) - held_out["dev"] - held_out["test"]
    folder.mkdir()
    for split, queries in held_out.items():
        rows = [f"{query}\t{passage}\t1" for query, passage in judged if query in queries]
        text = "\n".join(["query-id\tcorpus-id\tscore", *rows])
        (folder / f"{split}.tsv").write_text(f"{text}\n", encoding="utf-8")


def read_texts(path: Path) -> dict[str, str]:
    """Return the texts of a file by their ids."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["_id"]: row["text"] for row in rows}


if __name__ == "__main__":
    collection_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
