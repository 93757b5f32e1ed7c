"""What code a job's numbers come from: a digest of its loss, and the versions of the modules that decide the rest.

A loss is what users edit, so its source counts as it is, without comments, docstrings and layout. Each other module
that decides numbers has a version in ``VERSIONS``, each retriever one in its fingerprint (``bm25 1``): whoever changes
what such a module computes raises it, and every job that uses it runs again. A test holds the digests of all of them,
so that no edit goes by without that decision.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

VERSIONS = {  # of the modules of this package
    "hashing": 1,
    "data.assignment": 1,
    "data.distil_batches": 1,
    "data.groups": 1,
    "data.pair_batches": 1,
    "data.pairs": 1,
    "data.repeated": 1,
    "data.splits": 1,
    "data.text_batches": 1,
    "data.tokens": 1,
    "evaluation.measure_names": 1,
    "evaluation.measures": 1,
    "modules.backbone": 1,
    "modules.colbert": 1,
    "modules.colbert_network": 1,
    "modules.cross_encoder": 1,
    "modules.dual_encoder": 1,
    "modules.dual_encoder_network": 1,
    "modules.heads": 1,
    "modules.in_batch": 1,
    "modules.packing": 1,
    "modules.pair_scorer": 1,
    "modules.ranker": 1,
    "modules.schedule": 1,
    "modules.teacher": 1,
    "modules.text_encoder": 1,
    "modules.text_features": 1,
    "modules.trained_pairs": 1,
    "negatives.copies": 1,
    "negatives.filters": 1,
    "negatives.near_duplicates": 1,
    "negatives.rule": 1,
    "negatives.sampler": 1,
    "negatives.turns": 1,
    "negatives.twin_queries": 1,
    "pretrained.encoder": 1,
    "pretrained.limits": 1,
    "pretrained.padding": 1,
    "pretrained.tokenizer": 1,
    "pretrained.weights": 1,
    "probing.embeddings": 1,
    "probing.encoder": 1,
    "probing.model": 1,
    "probing.pairing": 1,
    "probing.pooling": 1,
    "probing.search": 1,
    "probing.whitening": 1,
    "retrieval.gold": 1,
    "retrieval.identical": 1,
    "studies.candidate_filters": 1,
    "studies.preparation": 1,
    "studies.probe": 1,
    "studies.testing": 1,
    "studies.training": 1,
}
FILTERS = (
    "modules.pair_scorer",
    "modules.trained_pairs",
    "negatives.filters",
    "negatives.near_duplicates",
    "negatives.twin_queries",
)
TEACHER = ("data.distil_batches", "modules.teacher", "modules.trained_pairs")
TEXTS = (
    "data.text_batches",
    "modules.in_batch",
    "modules.text_encoder",
    "modules.text_features",
    "pretrained.encoder",
)
OF_PROBES = (*(name for name in VERSIONS if name.startswith("probing.")), "studies.probe")
OF_KIND = {
    "cross_encoder": (
        "data.pair_batches",
        "data.pairs",
        "modules.backbone",
        "modules.cross_encoder",
        "modules.heads",
        "modules.packing",
    ),
    "colbert": (*TEXTS, "modules.colbert", "modules.colbert_network"),
    "dual_encoder": (*TEXTS, *TEACHER, "modules.dual_encoder", "modules.dual_encoder_network", "modules.packing"),
}
OF_FIRST_STAGES = ("data.assignment", "data.splits", "evaluation.measures", "hashing", "retrieval.identical")
OF_ALL = set(VERSIONS).difference(FILTERS, TEACHER, OF_PROBES, *OF_KIND.values())
RETRIEVERS = tuple(f"retrieval.{name}" for name in ("bm25", "colbert", "dense", "judged", "run_file", "tct_colbert"))
# What several retrievers share: an edit raises the number of each that computes something else by it.
OF_RETRIEVERS = tuple(
    f"retrieval.{name}"
    for name in ("embeddings", "late_interaction", "maxsim", "run", "run_formats", "run_lines", "topk", "vector_search")
)
PACKAGE = Path(__file__).parent
LAYOUT = ("ctx", "kind", "type_comment", "type_ignores")  # fields of syntax trees that say nothing of what is computed


def source_digest(source: str) -> str:
    """The digest of Python source without comments, docstrings and layout; the same with every version of Python."""
    tree = repr(_plain(ast.parse(source)))
    return hashlib.blake2b(tree.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples, without what is empty: fields that a later Python adds change nothing."""
    if isinstance(node, list):
        return tuple(_plain(one) for one in node)
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
    """The digest of the module of a loss, and of the modules beside it that it imports."""
    function = inspect.unwrap(getattr(loss, "func", loss))
    module = inspect.getmodule(function if inspect.isroutine(function) else type(function))
    if module is None or not (module.__file__ or "").endswith(".py"):
        return f"{function!r} has no source"
    folder, seen, waiting = Path(str(module.__file__)).parent, {}, [Path(str(module.__file__))]
    while waiting:
        path = waiting.pop()
        if path.name not in seen:
            text = path.read_text(encoding="utf-8")
            seen[path.name] = source_digest(text)
            waiting += [found for name in _imports(text) if (found := folder / f"{name}.py").is_file()]
    return hashlib.blake2b(repr(sorted(seen.items())).encode(), digest_size=16).hexdigest()


def _imports(source: str) -> Iterator[str]:
    """The last parts of the names of all modules that may be imported by some source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").rpartition(".")[2]
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.rpartition(".")[2] for alias in node.names)


def versions(kind: str, *, filters: bool, teacher: bool, probes: bool, retrievers: Mapping[str, Any]) -> str:
    """The versions of what decides a job's numbers, such as ``bm25 1, data.groups 1, hashing 1``. ``kind``: of its
    model. ``retrievers``: those of its roles.
    """
    chosen = ((filters, FILTERS), (teacher, TEACHER), (probes, OF_PROBES))
    names = {*OF_ALL, *OF_KIND[kind], *(name for used, group in chosen if used for name in group)}
    return _said(names, retrievers)


def first_stage_versions(retrievers: Mapping[str, Any]) -> str:
    """The same of what decides the numbers of first stages that are measured alone."""
    return _said(OF_FIRST_STAGES, retrievers)


def probe_versions() -> str:
    """The same of what decides the numbers of probed layers, for what is kept of them in the store."""
    return _said(OF_PROBES, {})


def _said(names: Iterable[str], retrievers: Mapping[str, Any]) -> str:
    own = {str(one.fingerprint().get("retriever", name)) for name, one in retrievers.items()}
    return ", ".join(sorted({*own, *(f"{name} {VERSIONS[name]}" for name in names)}))
