"""Identify the code behind a job's numbers: a digest of its loss, and versions of the modules that decide the rest.

Users edit losses, so a loss counts by its source, without comments, docstrings and layout. Each other module that
decides numbers has a version in ``VERSIONS``, each retriever one in its fingerprint (``bm25 1``). Raise it when the
module computes something else: every job that uses it then runs again. A test compares the digests of all of them.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

VERSIONS = {  # of the modules of this package
    "common.random_keys": 1,
    "config.negatives": 1,
    "data.batches.distillation_batches": 1,
    "data.batches.groups": 1,
    "data.batches.pair_batches": 1,
    "data.batches.pairs": 1,
    "data.batches.text_batches": 1,
    "data.batches.text_features": 1,
    "data.labels": 1,
    "data.pair_values": 1,
    "data.query_split": 1,
    "data.repeated_queries": 1,
    "data.splits": 1,
    "data.teacher_formats": 1,
    "data.teacher_rows": 1,
    "data.teacher_values": 1,
    "data.tokens": 1,
    "data.whole_collection": 1,
    "evaluation.depths": 1,
    "evaluation.measure_names": 1,
    "evaluation.measures": 1,
    "jobs.evaluate": 1,
    "jobs.filters": 1,
    "jobs.inference_depths": 1,
    "jobs.prepare": 1,
    "jobs.trainer": 1,
    "models.backbone": 1,
    "models.heads": 1,
    "models.in_batch_negatives": 1,
    "models.optimizer": 1,
    "models.packed_forward": 1,
    "models.pair_scorer": 1,
    "models.ranker": 1,
    "models.schedules": 1,
    "models.teacher": 1,
    "models.teacher_values": 1,
    "models.text_encoder": 1,
    "models.trained_pairs": 1,
    "negatives.copies": 1,
    "negatives.draws": 1,
    "negatives.filters": 1,
    "negatives.mixing": 1,
    "negatives.near_duplicates": 1,
    "negatives.run_lists": 1,
    "negatives.sampler": 1,
    "negatives.twin_queries": 1,
    "pretrained.encoder": 1,
    "pretrained.limits": 1,
    "pretrained.padding": 1,
    "pretrained.tokenizer": 1,
    "pretrained.weights": 1,
    "probing.embeddings": 1,
    "probing.encoder": 1,
    "probing.evaluate_layers": 1,
    "probing.model": 1,
    "probing.pairing": 1,
    "probing.pooling": 1,
    "probing.search": 1,
    "probing.whitening": 1,
    "retrieval.inject_gold": 1,
    "retrieval.own_passages": 1,
}
FILTERS = (
    "models.pair_scorer", "models.trained_pairs", "negatives.filters", "negatives.near_duplicates",
    "negatives.twin_queries",
)  # fmt: skip
# Of rules that draw otherwise than uniformly from a run, and of losses that read labels
DRAWS = ("data.labels", "data.whole_collection", "negatives.draws", "negatives.run_lists")
TEACHER = ("data.batches.distillation_batches", "models.teacher", "models.trained_pairs")
TEACHER_FILE = (  # of scores: a model that teaches has the versions above
    "data.pair_values", "data.teacher_formats", "data.teacher_rows", "data.teacher_values", "models.teacher_values",
)  # fmt: skip
TEXTS = (
    "data.batches.text_batches", "models.in_batch_negatives", "models.text_encoder", "data.batches.text_features",
    "pretrained.encoder",
)  # fmt: skip
DEPTHS = ("evaluation.depths", "jobs.inference_depths")
OF_PROBES = tuple(name for name in VERSIONS if name.startswith("probing."))
# What some models share: each names what it uses in its ``code``.
PAIRS = ("data.batches.pair_batches", "data.batches.pairs", "models.backbone", "models.heads")
PACKED = ("models.packed_forward",)
OF_FIRST_STAGES = (
    "data.query_split", "data.splits", "evaluation.measures", "common.random_keys", "retrieval.own_passages",
)  # fmt: skip
OF_EVALUATION = (*OF_FIRST_STAGES, "evaluation.measure_names", "jobs.evaluate", "retrieval.inject_gold")
OF_ALL = set(VERSIONS).difference(FILTERS, DRAWS, TEACHER, TEACHER_FILE, DEPTHS, OF_PROBES, PAIRS, PACKED, TEXTS)
RETRIEVERS = tuple(
    f"retrieval.{name}"
    for name in (
        "bm25", "colbert", "dense", "every_passage", "fusion", "judged_negatives", "negatives_file", "run_file",
        "tct_colbert",
    )
)  # fmt: skip
# What several retrievers share: an edit raises the number of each that computes something else by it.
OF_RETRIEVERS = (
    "data.colbert_examples", "data.negatives_formats", "data.run", "data.run_formats", "data.run_lines",
    "data.text_triples", "pretrained.packed_encoding", "retrieval.bm25_count",
    "retrieval.bm25_index", "retrieval.bm25_scan", "retrieval.bm25_search", "retrieval.late_interaction",
    "retrieval.maxsim", "retrieval.pair_vectors", "retrieval.shared_encoding", "retrieval.topk",
    "retrieval.vector_search", "retrieval.vector_store", "retrieval.words",
)  # fmt: skip
# Parts of a module that has a version: an edit raises that one.
PARTS_OF = {
    "data.batches.scored_pairs": "data.batches.pairs", "data.ragged_files": "data.tokens",
    "data.windows": "data.batches.pairs", "models.compact_vocabulary": "models.optimizer",
    "models.int8": "models.packed_forward",
    "negatives.positives": "negatives.sampler", "pretrained.jagged_attention": "models.packed_forward",
    "pretrained.packed_attention": "models.packed_forward", "pretrained.packed_layers": "models.packed_forward",
}  # fmt: skip
PACKAGE = Path(__file__).parents[1]
LAYOUT = ("ctx", "kind", "type_comment", "type_ignores")  # fields of syntax trees that say nothing of what is computed


def source_digest(source: str) -> str:
    """Return the digest of Python source without comments, docstrings and layout, the same for every Python version."""
    tree = repr(_plain(ast.parse(source)))
    return hashlib.blake2b(tree.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _plain(node: Any) -> Any:
    """Return a syntax tree as nested tuples without empty fields, which a later Python may add."""
    if isinstance(node, list):
        return tuple(map(_plain, node))
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, []) and name not in LAYOUT}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
        fields["body"] = fields["body"][1:]
    return type(node).__name__, *((name, _plain(value)) for name, value in fields.items())


def module_digest(name: str) -> str:
    """The digest of the source of a module of this package, such as ``negatives.sampler``."""
    return source_digest(PACKAGE.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8"))


def loss_digest(loss: Callable[..., Any]) -> str:
    """Return the digest of the module of a loss, and of the modules next to it that it imports."""
    function = inspect.unwrap(getattr(loss, "func", loss))
    module = inspect.getmodule(function if inspect.isroutine(function) else type(function))
    if module is None or not (module.__file__ or "").endswith(".py"):
        return f"{function!r} has no source"
    return source_digest_of(Path(str(module.__file__)))


def source_digest_of(file: Path) -> str:
    """Return the digest of a module, and of the modules next to it that it imports."""
    folder, seen, waiting = file.parent, {}, [file]
    while waiting:
        path = waiting.pop()
        if path.name not in seen:
            text = path.read_text(encoding="utf-8")
            seen[path.name] = source_digest(text)
            waiting += [module for name in _imports(text) if (module := folder / f"{name}.py").is_file()]
    return hashlib.blake2b(repr(sorted(seen.items())).encode(), digest_size=16).hexdigest()


def _imports(source: str) -> Iterator[str]:
    """Yield the last parts of the names of all modules that a source may import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").rpartition(".")[2]
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.rpartition(".")[2] for alias in node.names)


def versions_of(*names: str) -> dict[str, int]:
    """Return the versions of some modules of this package."""
    return {name: VERSIONS[name] for name in names}


def model_code(model: type[Any]) -> dict[str, int | str]:
    """Return the versions of a model's modules (its ``code``), or the digest of its own where ``code`` names none."""
    code, folder = dict(model.code), model.__module__.rpartition(".")[0]
    if any(f"experiments.{name}".startswith(f"{folder}.") for name in code):
        return code
    return {**code, folder: source_digest_of(Path(inspect.getfile(model)))}


def versions(
    model: type[Any],
    *,
    filters: bool,
    draws: bool = False,
    teacher: bool,
    teacher_file: bool = False,
    probes: bool,
    retrievers: Mapping[str, Any],
    depths: bool = False,
) -> str:
    """Return the versions that decide a job's numbers, such as ``bm25 1, data.splits 1``.

    ``model``: config class. ``filters``, ``draws``, ``probes``, ``depths`` (several of them): what the job uses.
    ``teacher``: whether a model teaches, ``teacher_file``: whether a file does.
    """
    taught = ((teacher, TEACHER), (teacher_file, TEACHER_FILE))
    chosen = ((filters, FILTERS), (draws, DRAWS), *taught, (depths, DEPTHS), (probes, OF_PROBES))
    names = {*OF_ALL, *(name for used, group in chosen if used for name in group)}
    return _said({**versions_of(*names), **model_code(model)}, retrievers)


def first_stage_versions(retrievers: Mapping[str, Any]) -> str:
    """Return the versions that decide the numbers of first stages without a training."""
    return _said(versions_of(*OF_FIRST_STAGES), retrievers)


def evaluation_versions(model: type[Any], retrievers: Mapping[str, Any]) -> str:
    """Return the versions that decide the numbers of a model that is not trained. ``model``: config class."""
    return _said({**versions_of(*OF_EVALUATION), **model_code(model)}, retrievers)


def probe_versions() -> str:
    """Return the versions that decide the numbers of probed layers, for their entries in the cache."""
    return _said(versions_of(*OF_PROBES), {})


def _said(modules: Mapping[str, int | str], retrievers: Mapping[str, Any]) -> str:
    own = {str(retriever.fingerprint().get("retriever", name)) for name, retriever in retrievers.items()}
    return ", ".join(sorted({*own, *(f"{name} {version}" for name, version in modules.items())}))
