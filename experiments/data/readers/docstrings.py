"""Read the docstrings of an installed package under their public names, and their sections; import nothing."""

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
    """Definitions, docstrings and re-exports of one source file, under its own names."""

    definitions: set[str] = field(default_factory=set)
    docstrings: dict[str, list[str]] = field(default_factory=dict)  # "solve", "Model.fit"; a class: its own, __init__'s
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # local name -> (module, name there)
    star_imports: list[str] = field(default_factory=list)
    exported: set[str] | None = None  # __all__, where it is written out


class PackageSources:
    """Source files of an installed package, parsed on demand.

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
        """Return a module's content, parsed at the first call."""
        if name not in self._modules:
            self._modules[name] = read_module(self.paths[name], name)
        return self._modules[name]

    def public_docstrings(self) -> dict[str, list[str]]:
        """Map public names to the docstrings of every public function, class and method.

        The shortest path that a user can import names an object: a package's ``__init__`` may re-export definitions of
        modules below it, private ones included. Objects that only a private module offers are left out.
        """
        public: dict[tuple[str, str], str] = {}  # (module, name) of a definition -> its public name
        for module in sorted(self.paths):
            if "._" in module:
                continue
            for name in sorted(self._exports(module)):
                source = self._resolve(module, name)
                is_package = self.paths[module].stem == "__init__"
                if source and (source[0] == module or (is_package and source[0].startswith(f"{module}."))):
                    names = (f"{module}.{name}", public.get(source, f"{module}.{name}"))
                    public[source] = min(names, key=lambda path: (path.count("."), len(path), path))
        docstrings: dict[str, list[str]] = {}
        for (module, name), named in sorted(public.items()):
            for path, texts in self.module(module).docstrings.items():
                top, _, method = path.partition(".")
                if top == name:
                    docstrings.setdefault(f"{named}.{method}" if method else named, texts)
        return docstrings

    def _exports(self, module: str) -> set[str]:
        """Return the names that a star import of the module binds."""
        if module not in self.paths:
            return set()
        if module not in self._exported:
            self._exported[module] = set()  # for a circular star import
            source = self.module(module)
            names = source.exported
            if names is None:
                names = {name for name in source.definitions | set(source.imports) if not name.startswith("_")}
                names = names.union(*map(self._exports, source.star_imports))
            self._exported[module] = names
        return self._exported[module]

    def _resolve(self, module: str, name: str) -> tuple[str, str] | None:
        """Return (module, name) of a name's definition; None if it is no function or class of this package."""
        if module not in self.paths:
            return None
        if (module, name) not in self._resolved:
            self._resolved[module, name] = None  # for a circular import
            source = self.module(module)
            if name in source.definitions:
                definition: tuple[str, str] | None = (module, name)
            elif name in source.imports:
                definition = self._resolve(*source.imports[name])
            else:
                offering = (star for star in source.star_imports if name in self._exports(star))
                definition = next(filter(None, (self._resolve(star, name) for star in offering)), None)
            self._resolved[module, name] = definition
        return self._resolved[module, name]


def read_module(path: Path, name: str) -> Module:
    """Read definitions, docstrings and re-exports of a source file's top level (within if and try, too).

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
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            source = ".".join(above + ([node.module] if node.module else []))
            module.star_imports += [source for alias in node.names if alias.name == "*"]
            module.imports |= {
                alias.asname or alias.name: (source, alias.name) for alias in node.names if alias.name != "*"
            }
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
    names = [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return names if len(names) == len(node.elts) else None


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
    """Map kinds of section to their texts, for a numpydoc or Google docstring; text above the first is the description.

    A numpydoc heading is underlined and lasts until the next. A Google heading ("Returns:", also "Example::" and "..
    note::") lasts until the text is no longer indented, or until a blank line if text follows on its line. If the first
    text below is not indented either, as in transformers' fenced examples, it lasts until the next heading.
    """
    lines = docstring.expandtabs().splitlines()
    sections: dict[str, list[str]] = {}
    kind = "parameters" if BARE_ENTRIES.match(docstring) else "description"
    ends_at = ""  # ends the current section in addition to a heading: "blank", "dedent" or nothing
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
    """Remove markup from documentation text and join it to one line.

    Directives, roles, backticks, code fences and placeholders (``%(name)s``) go; their text and doctest prompts stay.
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
    """Split the text of a section into passages of at most about ``max_words`` words.

    Cuts are where an entry (parameters and the like) or a paragraph begins, and within one only if it is too long. A
    rest under a fifth of ``max_words`` joins the part before it; parts after ``max_parts`` are dropped; a section with
    fewer than ``min_words`` words of letters gives none.
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
        parts[-2:] = [parts[-2] + parts[-1]]
    bodies = [" ".join(part) for part in parts[:max_parts]]
    return bodies if len(re.findall(r"[A-Za-z]{2,}", " ".join(bodies))) >= min_words else []
