"""Damage the files of collections, runs, teachers' scores and negatives."""

import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stress.fuzzing import oracles
from stress.fuzzing.damages import HARMLESS, damaged
from stress.fuzzing.oracles import UNSURE, UnsureError
from stress.fuzzing.verdicts import Outcome, judge

from experiments.common.cache import Cache
from experiments.data import negatives_formats, run_formats, teacher_formats
from experiments.data.collection import open_collection
from experiments.data.readers.beir import BeirFolder
from experiments.data.readers.msmarco import MsMarcoFolder

QUERIES, PASSAGES = ("q1", "7", "é-3"), ("p1", "22", "doc_3", "p4", "ü")
SPLIT = "test"


def _content(rows: Sequence[str]) -> bytes:
    return ("\n".join(rows) + "\n").encode()


def _judgements(rng: random.Random) -> list[tuple[str, str, int]]:
    return [(query, passage, rng.randrange(-1, 4)) for query in QUERIES for passage in rng.sample(PASSAGES, 2)]


def _beir(rng: random.Random) -> dict[str, bytes]:
    corpus = [
        json.dumps(
            {"_id": name, "title": rng.choice(["", "A title"]), "text": f"text of {name} ☃"},
            ensure_ascii=rng.random() < 0.5,
        )
        for name in PASSAGES
    ]
    header = ["query-id\tcorpus-id\tscore"] if rng.random() < 0.5 else []
    return {
        "corpus.jsonl": _content(corpus),
        "queries.jsonl": _content([json.dumps({"_id": name, "text": f"what is {name}?"}) for name in QUERIES]),
        f"qrels/{SPLIT}.tsv": _content([*header, *(f"{q}\t{p}\t{grade}" for q, p, grade in _judgements(rng))]),
    }


def _msmarco(rng: random.Random) -> dict[str, bytes]:
    return {
        "collection.tsv": _content([f"{name}\ttext of {name} ☃" for name in PASSAGES]),
        f"queries.{SPLIT}.tsv": _content([f"{name}\twhat is {name}?" for name in QUERIES]),
        f"qrels.{SPLIT}.tsv": _content([f"{q} 0 {p} {grade}" for q, p, grade in _judgements(rng)]),
    }


def _ranked(rng: random.Random) -> list[tuple[str, str, int, float]]:
    rows = []
    for query in QUERIES:
        scores = sorted((round(rng.uniform(-20, 20), rng.randrange(1, 7)) for _ in PASSAGES), reverse=True)
        names = rng.sample(PASSAGES, len(PASSAGES))
        rows += [(query, name, rank, score) for rank, (name, score) in enumerate(zip(names, scores, strict=True), 1)]
    return rows


def _run(layout: str, rng: random.Random) -> dict[str, bytes]:
    between = rng.choice("\t ") if layout != "msmarco" else "\t"
    made = {
        "trec": lambda q, p, rank, score: (q, "Q0", p, rank, score, "tag"),
        "scores": lambda q, p, rank, score: (q, p, score),
        "msmarco": lambda q, p, rank, score: (q, p, rank),
    }[layout]
    return {"run": _content([between.join(map(str, made(*row))) for row in _ranked(rng)])}


def _scores(layout: str, rng: random.Random) -> dict[str, bytes]:
    rows = _ranked(rng)
    if layout == "jsonl":
        lines = [json.dumps({"query_id": q, "passage_id": p, "score": score}) for q, p, _, score in rows]
    elif layout == "hofstaetter":
        lines = [f"{score}\t{score - 1}\t{q}\t{p}\t{PASSAGES[rank - 2]}" for q, p, rank, score in rows]
    elif layout == "colbert":
        lines = [json.dumps([q, *([p, score] for other, p, _, score in rows if other == q)]) for q in QUERIES]
    else:
        own = {q: [{"pid": p, "ce-score": score} for other, p, _, score in rows if other == q] for q in QUERIES}
        lines = [json.dumps({"qid": q, "pos": own[q][:1], "neg": {"bm25": own[q][1:]}}) for q in QUERIES]
    return {"scores": _content(lines)}


def _negatives(layout: str, rng: random.Random) -> dict[str, bytes]:
    if layout == "triples":
        between = rng.choice("\t ")
        return {"negatives": _content([between.join((q, "p1", p)) for q, p, _, _ in _ranked(rng)])}
    lines = [json.dumps({"qid": q, "pos": ["p1"], "neg": {"bm25": rng.sample(PASSAGES, 3)}}) for q in QUERIES]
    return {"negatives": _content(lines)}


def _read_collection(source: type, options: Mapping[str, Any], folder: Path) -> Any:
    made = open_collection(source(str(folder), **options), Cache(folder / "cache"))
    passages, queries = (
        [(table.id(row), table.text(row)) for row in range(len(table))] for table in (made.passages, made.queries)
    )
    judged = made.qrels(SPLIT)
    return (
        passages,
        queries,
        sorted(
            (made.queries.id(query), made.passages.id(passage), int(grade))
            for i, query in enumerate(judged.queries)
            for passage, grade in zip(judged.passages[i], judged.grades[i], strict=True)
        ),
    )


def _read_run(layout: str, folder: Path) -> Any:
    ranked = run_formats.read(_only_file(folder), layout)
    passages, found = ranked.passage_ids.to_pylist(), {}
    for i, query in enumerate(ranked.query_ids.to_pylist()):
        places = slice(ranked.offsets[i], ranked.offsets[i + 1])
        own = zip(ranked.passages[places], ranked.scores[places], strict=True)
        found[query] = [(passages[place], float(score)) for place, score in own]
    return found


def _only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def _read_scores(layout: str, folder: Path) -> Any:
    scored = teacher_formats.read(_only_file(folder), layout, "score", "loss.teacher_file")
    queries, passages = scored.query_ids.to_pylist(), scored.passage_ids.to_pylist()
    rows = zip(scored.queries_L, scored.passages_L, scored.values_L, strict=True)
    return sorted((queries[q], passages[p], float(value)) for q, p, value in rows)


def _read_negatives(layout: str, folder: Path) -> Any:
    asked = {query: place for place, query in enumerate(QUERIES)}
    listed = negatives_formats.read_negatives(_only_file(folder), asked, 100, layout, key="retrievers.x.format")
    found: dict[str, list[str]] = {}
    for place, passage in zip(listed.queries_L, listed.passages_L.to_pylist(), strict=True):
        found.setdefault(QUERIES[place], []).append(passage)
    return sorted(found.items())


def _collection_truth(texts: Callable[..., Any], files: Mapping[str, bytes]) -> Any:
    passages, queries, judged = files.values()
    if texts is oracles.texts_of_jsonl:
        found = oracles.texts_of_jsonl(passages, True), oracles.texts_of_jsonl(queries, False), oracles.qrels(judged)
    else:
        found = oracles.texts_of_tsv(passages), oracles.texts_of_tsv(queries), oracles.qrels(judged)
    known = {name for name, _ in found[0]}, {name for name, _ in found[1]}
    if any(query not in known[1] or passage not in known[0] for query, passage, _ in found[2]):
        raise oracles.MalformedError
    return found


def _asked(found: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    return [(query, own) for query, own in found if query in QUERIES]


def _of_one_file(parse: Callable[[bytes], Any], files: Mapping[str, bytes]) -> Any:
    (content,) = files.values()
    return parse(content)


@dataclass(frozen=True)
class Format:
    """``make`` writes sound files, the one with damages among them; ``read`` reads them; ``truth`` is the oracle."""

    make: Callable[[random.Random], dict[str, bytes]]
    read: Callable[[Path], Any]
    truth: Callable[[Mapping[str, bytes]], Any]


SPLITS = {"splits": {SPLIT: SPLIT}}
FORMATS: dict[str, Format] = {
    "beir": Format(
        _beir, partial(_read_collection, BeirFolder, {}), partial(_collection_truth, oracles.texts_of_jsonl)
    ),
    "msmarco": Format(
        _msmarco, partial(_read_collection, MsMarcoFolder, SPLITS), partial(_collection_truth, oracles.texts_of_tsv)
    ),
    **{
        f"run {layout}": Format(
            partial(_run, layout),
            partial(_read_run, layout),
            partial(_of_one_file, partial(oracles.run, layout=layout)),
        )
        for layout in ("trec", "scores", "msmarco")
    },
    "run auto": Format(partial(_run, "trec"), partial(_read_run, "auto"), lambda files: UNSURE),
    **{
        f"teacher {layout}": Format(
            partial(_scores, layout), partial(_read_scores, layout), partial(_of_one_file, parse)
        )
        for layout, parse in {
            "jsonl": oracles.scored_jsonl,
            "hofstaetter": oracles.hofstaetter,
            "colbert": oracles.colbert,
            "hard_negatives": oracles.hard_negatives,
        }.items()
    },
    "teacher auto": Format(partial(_scores, "jsonl"), partial(_read_scores, "auto"), lambda files: UNSURE),
    **{
        f"negatives {layout}": Format(
            partial(_negatives, layout),
            partial(_read_negatives, layout),
            partial(_of_one_file, lambda content, parse=parse: _asked(parse(content))),
        )
        for layout, parse in {
            "triples": oracles.triples,
            "sentence_transformers": oracles.negatives_by_system,
        }.items()
    },
    "negatives auto": Format(partial(_negatives, "triples"), partial(_read_negatives, "auto"), lambda files: UNSURE),
}


def fuzz(rng: random.Random, folder: Path) -> tuple[str, Outcome, bytes]:
    """Damage one file of one format; returns what was done, the outcome, and the damaged bytes."""
    kind = rng.choice(list(FORMATS))
    form = FORMATS[kind]
    files = form.make(rng)
    name = rng.choice(list(files))
    damage, files[name] = damaged(rng, files[name])
    packed, harmless = rng.random() < 0.15, damage in HARMLESS
    truth = UNSURE
    try:
        truth = form.truth(files)
    except UnsureError:
        pass
    except (oracles.MalformedError, ValueError, RecursionError):
        truth = None
    for other, content in files.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(content)
    if packed:
        content, cut = gzip.compress(files[name]), rng.random() < 0.3
        if cut:
            content, truth, harmless = content[: rng.randrange(len(content))], None, False
            damage = f"{damage}, gzip cut"
        (folder / name).unlink()
        (folder / f"{name}.gz").write_bytes(content)
    return f"{kind}: {name}: {damage}", _judged(form, folder, truth, harmless), files[name]


def _judged(form: Format, folder: Path, truth: Any, harmless: bool) -> Outcome:
    def wrong(values: Any) -> str | None:
        if truth == UNSURE:
            return None
        if truth is None:
            return f"a malformed file is accepted: {str(values)[:200]!r}"
        return None if values == truth else f"wrong values: {_difference(values, truth)}"

    return judge(lambda: form.read(folder), wrong, harmless=harmless, place=str(folder))


def _difference(values: Any, truth: Any) -> str:
    if isinstance(values, dict):
        values, truth = sorted(values.items()), sorted(truth.items())
    pairs = zip(values, truth, strict=False)
    first = next(
        ((str(value)[:150], str(true)[:150]) for value, true in pairs if value != true), (len(values), len(truth))
    )
    return f"{first[0]!r}, not {first[1]!r}"
