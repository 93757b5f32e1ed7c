"""The docstrings of an installed package under their public names, and their sections; nothing is imported."""

import ast
import importlib.util
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from experiments.common.errors import ExperimentError

SKIPPED_MODULES = {"benchmarks", "conftest", "examples", "extern", "externals", "setup", "test", "tests", "third_party"}
SKIPPED_MODULES |= {"vendor", "vendored"}
HEADINGS = {
    "parameters": "parameters, other parameters, args, arguments, keyword args, keyword arguments, params",
    "returns": "returns, return",
    "yields": "yields",
    "raises": "raises, exceptions",
    "warnings": "warns, warning, warnings",
    "attributes": "attributes",
    "notes": "notes, note, remarks, explanation, details",
    "examples": "examples, example, usage",
    "see_also": "see also, seealso",
    "references": "references, reference",
    "shape": "shape, shapes",
}
KIND_OF_HEADING = {heading: kind for kind, headings in HEADINGS.items() for heading in headings.split(", ")}
ENTRY_KINDS = {"parameters", "returns", "yields", "raises", "attributes", "see_also", "references", "shape"}
GOOGLE_HEADING = re.compile(r"(?:\.\. )?([A-Za-z]+(?: [A-Za-z]+)?):{1,2}(?:\s+(\S.*))?")
UNDERLINE = re.compile(r"[-=~]{3,}\s*")
BARE_ENTRIES = re.compile(r"\w+ \(.*\):?\s*\n\s+\S")  # transformers: "labels (`LongTensor`):" without a heading above


@dataclass
class Module:
    """What one source file defines, documents and re-exports, under the names that it uses itself."""

    definitions: set[str] = field(default_factory=set)
    docstrings: dict[str, list[str]] = field(default_factory=dict)  # "solve", "Model.fit"; a class: its own, __init__'s
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # local name -> (module, name there)
    star_imports: list[str] = field(default_factory=list)
    exported: set[str] | None = None  # __all__, where it is written out


class PackageSources:
    """The source files of an installed package, parsed as they are asked for.

    Raises:
        ExperimentError: the package is not installed as a folder of Python sources.
    """

    def __init__(self, package: str) -> None:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ExperimentError(f"the package {package!r} is not installed: install it (pip install {package})")
        root = Path(next(iter(spec.submodule_search_locations)))
        self.paths: dict[str, Path] = {}  # module -> file, sorted
        for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).parts):
            parts = path.relative_to(root).with_suffix("").parts
            if not any(part.lstrip("_") in SKIPPED_MODULES or part.startswith("test_") for part in parts):
                self.paths[".".join((package, *(part for part in parts if part != "__init__")))] = path
        self._modules: dict[str, Module] = {}
        self._exported: dict[str, set[str]] = {}
        self._resolved: dict[tuple[str, str], tuple[str, str] | None] = {}

    def module(self, name: str) -> Module:
        """What a module's file says; parsed at the first call."""
        if name not in self._modules:
            self._modules[name] = read_module(self.paths[name], name)
        return self._modules[name]

    def public_docstrings(self) -> dict[str, list[str]]:
        """Public name -> docstrings of every public function, class and method.

        An object is named by the shortest path that a user can import it from: a package's ``__init__`` may re-export
        what modules below it define, private ones included. What only a private module offers is left out.
        """
        public: dict[tuple[str, str], str] = {}  # (module, name) of a definition -> its public name
        for module in sorted(self.paths):
            if "._" in module:
                continue
            for name in sorted(self._exports(module)):
                found = self._resolve(module, name)
                if found and (found[0] == module or (self._is_package(module) and found[0].startswith(f"{module}."))):
                    named = min(f"{module}.{name}", public.get(found, f"{module}.{name}"), key=_brevity)
                    public[found] = named
        docstrings: dict[str, list[str]] = {}
        for (module, name), named in sorted(public.items()):
            for path, texts in self.module(module).docstrings.items():
                top, _, method = path.partition(".")
                if top == name:
                    docstrings.setdefault(f"{named}.{method}" if method else named, texts)
        return docstrings

    def _is_package(self, module: str) -> bool:
        return self.paths[module].stem == "__init__"

    def _exports(self, module: str) -> set[str]:
        """The names that a star import of the module binds."""
        if module not in self.paths:
            return set()
        if module not in self._exported:
            self._exported[module] = set()  # what a circular star import finds
            source = self.module(module)
            names = source.exported
            if names is None:
                names = {name for name in source.definitions | set(source.imports) if not name.startswith("_")}
                names = names.union(*map(self._exports, source.star_imports))
            self._exported[module] = names
        return self._exported[module]

    def _resolve(self, module: str, name: str) -> tuple[str, str] | None:
        """(module, name) of the definition behind a name, None where it is no function or class of this package."""
        if module not in self.paths:
            return None
        if (module, name) not in self._resolved:
            self._resolved[module, name] = None  # what a circular import finds
            source = self.module(module)
            found = None
            if name in source.definitions:
                found = (module, name)
            elif name in source.imports:
                found = self._resolve(*source.imports[name])
            else:
                offering = (star for star in source.star_imports if name in self._exports(star))
                found = next(filter(None, (self._resolve(star, name) for star in offering)), None)
            self._resolved[module, name] = found
        return self._resolved[module, name]


def _brevity(name: str) -> tuple[int, int, str]:
    return name.count("."), len(name), name


def read_module(path: Path, name: str) -> Module:
    """What a source file defines, documents and re-exports at its top level (within if and try, too).

    Raises:
        ExperimentError: the file is not valid Python for the running interpreter.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # invalid escapes in other people's docstrings
            tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise ExperimentError(
            f"{path}, line {error.lineno}: not valid Python ({error.msg}): reinstall {name.partition('.')[0]}"
        ) from error
    module = Module()
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    exported: list[str] | None = []
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom):
            _read_import(node, package, module)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            _read_definition(node, module)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and exported is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                names = _literal_names(node.value)
                exported = None if names is None else exported + names
        elif isinstance(node, ast.Expr) and ast.unparse(node).startswith("__all__."):
            exported = None
    module.exported = set(exported) if exported else None
    return module


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements(node.body)
            yield from _statements(node.orelse)


def _literal_names(node: ast.expr | None) -> list[str] | None:
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    names = [one.value for one in node.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return names if len(names) == len(node.elts) else None


def _read_import(node: ast.ImportFrom, package: str, module: Module) -> None:
    above = package.split(".")[: 1 - node.level or None] if node.level else []
    source = ".".join(above + ([node.module] if node.module else []))
    for one in node.names:
        if one.name == "*":
            module.star_imports.append(source)
        else:
            module.imports[one.asname or one.name] = (source, one.name)


def _read_definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, module: Module) -> None:
    module.definitions.add(node.name)
    docstrings: dict[str, list[str]] = {}
    if text := ast.get_docstring(node):
        docstrings[node.name] = [text]
    for inner in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(inner)):
            if inner.name == "__init__":
                docstrings.setdefault(node.name, []).append(text)
            elif not inner.name.startswith("_"):
                docstrings.setdefault(f"{node.name}.{inner.name}", [text])
    for path, texts in docstrings.items():
        module.docstrings.setdefault(path, texts)


def split_sections(docstring: str) -> dict[str, str]:
    """Kind of section -> its text, of a docstring in numpydoc or Google style; what stands above is the description.

    A numpydoc heading is underlined and lasts until the next. A Google heading ("Returns:", also "Example::" and
    ".. note::") lasts until the text is no longer indented, or until a blank line if text follows on its line. Where
    the first text below is not indented either, as in transformers' fenced examples, it lasts until the next heading.
    """
    lines = docstring.expandtabs().splitlines()
    sections: dict[str, list[str]] = {}
    kind = "parameters" if BARE_ENTRIES.match(docstring) else "description"
    ends_at = ""  # what ends the current section besides a heading: "blank", "dedent" or nothing
    skip = False
    for number, line in enumerate(lines):
        following = next((later for later in lines[number + 1 :] if later.strip()), "")
        if skip:  # the underline of a heading
            skip = False
            continue
        title = line.strip().lower()
        if title in KIND_OF_HEADING and UNDERLINE.fullmatch(following) and line[:1].strip():
            kind, ends_at, skip = KIND_OF_HEADING[title], "", True
            continue
        google = GOOGLE_HEADING.fullmatch(line.rstrip())
        if google and google[1].lower() in KIND_OF_HEADING:
            kind = KIND_OF_HEADING[google[1].lower()]
            ends_at = "blank" if google[2] else "dedent" if following[:1].isspace() else ""
            line = google[2] or ""
        elif (ends_at == "dedent" and line[:1].strip()) or (ends_at == "blank" and not line.strip()):
            kind, ends_at = "description", ""
        sections.setdefault(kind, []).append(line)
    return {kind: "\n".join(text) for kind, text in sections.items()}


def clean(text: str) -> str:
    """Documentation text without the marks of its markup, on one line.

    Directives, roles, backticks, code fences and placeholders (``%(name)s``) go, their text and doctest prompts stay.
    """
    text = re.sub(r"(?m)^\s*:(?:param|type|return|returns|rtype|raises)\b.*$", "", text)
    text = re.sub(r"(?m)^(\s*)\.\. (?:math|note|warning|tip|hint|important)::", r"\1", text)
    text = re.sub(r"(?m)^\s*(?:\.\. [\w-]+::.*|:[\w-]+:(?!`).*|</?Tip.*>)$", "", text)
    text = re.sub(r"(?m)^\s*\.\. (?=\[)|(?:>>> )?# ?x?doctest:.*$", "", text)
    text = re.sub(r"(?m)::$", ":", re.sub(r"(?m)^\s*::$", "", text))
    text = re.sub(r":[\w:]+:`[~!]?([^`]+?)(?:\s+<[^<>`]*>)?`", r"\1", text)
    text = re.sub(r"\[(?:`~?|~`?)([\w.]+)`?\]", r"\1", text)
    text = re.sub(r"```\w*|`+(?:_+\b)?|%\([\w:]+\)s", "", text)
    return " ".join(text.split())


def split_body(text: str, kind: str, min_words: int, max_words: int, max_parts: int) -> list[str]:
    """The text of a section as passages of at most about ``max_words`` words.

    It is cut where an entry (parameters and the like) or a paragraph begins, and within one only if that alone is too
    long. A rest under a fifth of ``max_words`` joins the part before it; what is left after ``max_parts`` is dropped;
    a section with fewer than ``min_words`` words of letters gives none.
    """
    blocks: list[list[str]] = [[]]
    for line in textwrap.dedent(text).splitlines():
        if not line.strip() or (kind in ENTRY_KINDS and line[0].strip()):
            blocks.append([])
        blocks[-1].append(line)
    parts: list[list[str]] = [[]]
    for block in blocks:
        words = clean("\n".join(block)).split()
        for start in range(0, len(words), max_words):
            piece = words[start : start + max_words]
            if parts[-1] and len(parts[-1]) + len(piece) > max_words:
                parts.append([])
            parts[-1].extend(piece)
    if len(parts) > 1 and len(parts[-1]) < max_words // 5:
        rest = parts.pop()
        parts[-1].extend(rest)
    bodies = [" ".join(part) for part in parts[:max_parts]]
    return bodies if len(re.findall(r"[A-Za-z]{2,}", " ".join(bodies))) >= min_words else []
