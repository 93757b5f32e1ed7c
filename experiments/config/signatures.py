"""Find the parameters of a function or class by its path, where possible from its source instead of by importing it.

Importing torch and Lightning takes ten seconds, which the check of a command or the plan of a study does not need.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

from experiments.common.importing import importing

READ = ("experiments", "torch", "pytorch_lightning")  # installed with this package, so that they can be imported
VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD

Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Parameters:
    """``names``: of all parameters, ``*args`` and ``**kwargs`` among them. ``open_ended``: takes other names, too.
    ``annotations``: as they are written, of those that have one.
    """

    names: tuple[str, ...]
    open_ended: bool
    annotations: Mapping[str, str] = field(default_factory=dict)


@cache
def parameters_of(target: str) -> Parameters:
    """Return the parameters of a function, or of a class's constructor, such as ``torch.optim.AdamW``.

    Raises:
        ImportError, AttributeError, ValueError, TypeError: there is no such thing, or it cannot be called.
    """
    if target.partition(".")[0] in READ and (read := read_parameters(target)) is not None:
        return read
    with importing("torch"):  # which parts of a training import
        part = resolve_name(target)
    taken = inspect.signature(part).parameters
    annotations = {
        name: one if isinstance(one := parameter.annotation, str) else inspect.formatannotation(one)
        for name, parameter in taken.items()
        if parameter.annotation is not parameter.empty
    }
    return Parameters(tuple(taken), VAR_KEYWORD in [each.kind for each in taken.values()], annotations)


def read_parameters(target: str) -> Parameters | None:
    """Read the parameters of a target from its source; None if only importing it can tell."""
    try:
        found = _find(target)
        return None if found is None else _parameters(*found)
    except (OSError, SyntaxError):
        return None


def file_of_function(target: str) -> tuple[Path, Parameters] | None:
    """Return the source file of a function of this package, and its parameters; None if only importing it can tell."""
    found = _find(target) if target.partition(".")[0] in READ else None
    if found is None or not isinstance(found[1], ast.FunctionDef) or (taken := _parameters(*found)) is None:
        return None
    return found[0].file, taken


@dataclass(frozen=True)
class _Module:
    """A source file. ``package``: what its relative imports start from."""

    file: Path
    package: str
    definitions: Mapping[str, Definition]
    imports: Mapping[str, str]  # local name -> full path


def _find(target: str) -> tuple[_Module, Definition] | None:
    """Return a definition and its module, through the imports that pass it on."""
    seen: set[str] = set()
    while target not in seen:
        seen.add(target)
        module_name, _, name = target.rpartition(".")
        module = _module(module_name)
        if module is None:
            return None
        if name in module.definitions:
            return module, module.definitions[name]
        if name not in module.imports:
            return None
        target = module.imports[name]
    return None


@cache
def _module(name: str) -> _Module | None:
    spec = _spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    definitions: dict[str, Definition] = {}
    imports: dict[str, str] = {}
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, Definition):
            definitions[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            imports |= {alias.asname or alias.name: f"{source}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Assign):  # of a name that was defined above: only importing can tell
            names = (inner for target in node.targets for inner in ast.walk(target) if isinstance(inner, ast.Name))
            for bound in [name.id for name in names if isinstance(name.ctx, ast.Store)]:
                definitions.pop(bound, None)
                imports.pop(bound, None)
    return _Module(Path(spec.origin), package, definitions, imports)


def _spec(name: str) -> ModuleSpec | None:
    """Find a module's file without importing the packages above it, which ``find_spec`` would."""
    top, *below = name.split(".")
    spec, path = find_spec(top), top
    for part in below:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = f"{path}.{part}"
        spec = PathFinder.find_spec(path, spec.submodule_search_locations)
    return spec


def _parameters(module: _Module, definition: Definition) -> Parameters | None:
    if isinstance(definition, ast.FunctionDef):
        return _of_function(module, definition, method=False)
    if definition.decorator_list:
        return _of_dataclass(module, definition)
    methods = {node.name: node for node in definition.body if isinstance(node, ast.FunctionDef)}
    if "__new__" in methods or any(keyword.arg == "metaclass" for keyword in definition.keywords):
        return None
    if "__init__" in methods:
        return _of_function(module, methods["__init__"], method=True)
    bases = list(_bases(module, definition))
    return _parameters(*bases[0]) if len(bases) == 1 and bases[0] is not None else None


def _bases(module: _Module, definition: ast.ClassDef) -> Iterator[tuple[_Module, ast.ClassDef] | None]:
    for base in definition.bases:
        found = _named(module, base)
        yield (found[0], found[1]) if found is not None and isinstance(found[1], ast.ClassDef) else None


def _named(module: _Module, node: ast.expr) -> tuple[_Module, Definition] | None:
    """Return what a name in a module stands for, if it is a definition."""
    if not isinstance(node, ast.Name):
        return None
    if node.id in module.definitions:
        return module, module.definitions[node.id]
    return _find(module.imports[node.id]) if node.id in module.imports else None


def _of_function(module: _Module, function: ast.FunctionDef, method: bool) -> Parameters | None:
    if not all(_keeps_parameters(module, decorator) for decorator in function.decorator_list):
        return None
    taken = function.args
    names = [argument.arg for argument in (*taken.posonlyargs, *taken.args)][int(method) :]
    names += [taken.vararg.arg] if taken.vararg else []
    names += [argument.arg for argument in taken.kwonlyargs]
    names += [taken.kwarg.arg] if taken.kwarg else []
    single = (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)
    annotations = {one.arg: ast.unparse(one.annotation) for one in single if one.annotation is not None}
    return Parameters(tuple(names), taken.kwarg is not None, annotations)


def _keeps_parameters(module: _Module, decorator: ast.expr) -> bool:
    """Return whether a decorator wraps a function by ``functools.wraps``, so that its parameters stay."""
    found = _named(module, decorator)
    return found is not None and any(
        isinstance(inner, ast.FunctionDef) and any(map(_is_wraps, inner.decorator_list)) for inner in found[1].body
    )


def _is_wraps(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in ("wraps", "functools.wraps")


def _of_dataclass(module: _Module, definition: ast.ClassDef) -> Parameters | None:
    """Return the fields of a plain dataclass without bases; other decorators and bases are for the import to tell."""
    decorators = {ast.unparse(decorator).partition("(")[0] for decorator in definition.decorator_list}
    methods = {node.name for node in definition.body if isinstance(node, ast.FunctionDef)}
    if decorators != {"dataclass"} or definition.bases or "__init__" in methods:
        return None
    fields = [node for node in definition.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    if any("ClassVar" in (text := ast.unparse(node)) or "field(" in text or "InitVar" in text for node in fields):
        return None
    annotations = {node.target.id: ast.unparse(node.annotation) for node in fields if isinstance(node.target, ast.Name)}
    return Parameters(tuple(annotations), False, annotations)
