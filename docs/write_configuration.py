"""Write the reference of all keys from the dataclasses that declare them: ``python docs/write_configuration.py``.

MkDocs calls ``on_page_markdown`` when it builds the site, so that the page ``configuration.md`` is never out of date.
Meanings are the docstrings under the fields, or what the docstring of a class lists as ``name``: meaning. Defaults are
those of ``python -m experiments.train`` without arguments. Ranges are read from the checks of each class.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "experiments"
FILES = (
    PACKAGE / "data" / "query_split.py",
    *sorted((PACKAGE / "config").glob("*.py")),
    *sorted((PACKAGE / "models").glob("*/config.py")),
)
TOP = "Experiment"
PAGE = "configuration.md"
HERE = "<!-- written by docs/write_configuration.py -->"
LISTED = re.compile(r"(?:``\w+``(?:,\s+and\s+|,\s+|\s+and\s+)?)+:\s")  # ``folds`` and ``fold``:


@dataclass(frozen=True)
class Key:
    """One field of a dataclass. ``nested``: the dataclass that it holds, if it is one; ``text``: its meaning."""

    name: str
    kind: str
    default: str | None
    text: str
    allowed: str
    nested: str | None = None


@dataclass
class Declared:
    """A dataclass. ``text``: its docstring without what it lists; ``keys``: its own fields and those it inherits."""

    name: str
    path: Path
    text: str
    keys: dict[str, Key] = field(default_factory=dict)


def read(files: tuple[Path, ...] = FILES) -> dict[str, Declared]:
    """Return the dataclasses of some files by their names."""
    classes: dict[str, tuple[ast.ClassDef, Path]] = {}
    constants: dict[str, Any] = {}
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and _is_dataclass(node):
                classes[node.name] = (node, path)
            elif isinstance(node, ast.Assign):
                constants.update(_constants(node))
    found: dict[str, Declared] = {}
    for name in classes:
        _declare(name, classes, constants, found)
    return found


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _constants(node: ast.Assign) -> Iterator[tuple[str, Any]]:
    """The names and values of a module's literal constants; ``a, b = 1, 2`` has two."""
    target = node.targets[0]
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    values = node.value.elts if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) else [node.value]
    for name, value in zip(names, values, strict=False):
        try:
            if isinstance(name, ast.Name):
                yield name.id, ast.literal_eval(value)
        except ValueError:
            continue  # not a literal: no check can be read from it


def _declare(
    name: str,
    classes: Mapping[str, tuple[ast.ClassDef, Path]],
    constants: Mapping[str, Any],
    found: dict[str, Declared],
) -> Declared:
    if name in found:
        return found[name]
    node, path = classes[name]
    head, listed = _listed(ast.get_docstring(node) or "")
    declared = Declared(name, path, head)
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            declared.keys |= _declare(base.id, classes, constants, found).keys
    ranges = _ranges(node, constants)
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            key = item.target.id
            kind = ast.unparse(item.annotation).strip("'\"")
            if kind.startswith("ClassVar"):  # what a part can do; no key
                continue
            inherited = declared.keys[key].text if key in declared.keys else ""
            text = _docstring(after) or listed.get(key) or inherited
            default = None if item.value is None else ast.unparse(item.value)
            nested = kind if kind in classes else None
            declared.keys[key] = Key(key, kind, default, text, ranges.get(key, ""), nested)
    found[name] = declared
    return declared


def _docstring(node: ast.stmt | None) -> str:
    """The text of a statement that is nothing but a string."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return _flat(node.value.value)
    return ""


def _flat(text: str) -> str:
    return " ".join(text.split())


def _listed(docstring: str) -> tuple[str, dict[str, str]]:
    """What a docstring says before it lists names, and name -> meaning."""
    places = list(LISTED.finditer(docstring))
    if not places:
        return _flat(docstring.split("\n\n")[0]), {}
    listed: dict[str, str] = {}
    for place, following in zip(places, [*places[1:], None], strict=True):
        meaning = _flat(docstring[place.end() : following.start() if following else None])
        for name in re.findall(r"``(\w+)``", place.group()):
            listed[name] = meaning
    return _flat(docstring[: places[0].start()]), listed


def _ranges(node: ast.ClassDef, constants: Mapping[str, Any]) -> dict[str, str]:
    """Field -> what its checks allow, as far as they are calls of ``at_least``, ``at_most`` and ``one_of``."""
    found: dict[str, list[str]] = {}
    for call in ast.walk(node):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and len(call.args) == 3):
            continue
        value = call.args[1]
        if not (isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "self"):
            continue
        limit = constants.get(call.args[2].id) if isinstance(call.args[2], ast.Name) else _literal(call.args[2])
        if limit is None:
            continue
        strictly = any(one.arg == "strictly" for one in call.keywords)
        said = {"at_least": "above" if strictly else "at least", "at_most": "at most", "one_of": ""}.get(call.func.id)
        if said is not None:
            values = ", ".join(f"`{one}`" for one in limit) if call.func.id == "one_of" else f"{said} {limit}"
            found.setdefault(value.attr, []).append(values)
    return {name: ", ".join(all_of) for name, all_of in found.items()}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


# ---- the page


def composed(*overrides: str) -> Any:
    """The config of ``python -m experiments.train`` with some overrides, interpolations left as they are."""
    from omegaconf import OmegaConf

    from experiments.config import compose

    compose.register()
    return OmegaConf.to_container(compose.composed(*overrides), resolve=False)


def configuration() -> str:
    """Return the Markdown of all keys."""
    classes, defaults = read(), composed()
    top = classes[TOP]
    parts = ["## The experiment", top.text, _table("", top, defaults, classes)]
    for key in top.keys.values():
        if key.name == "model":
            parts += _models(classes)
        elif key.nested:
            parts += _section(key.name, classes[key.nested], defaults.get(key.name), classes)
    free = (("table", "PaperTable"), ("table.published[]", "Published"), ("table.claims[]", "Claim"))
    for key, name in (("loss.teacher_file", "TeacherFile"), *free):
        parts += _section(key, classes[name], None, classes)
    parts.append(_groups())
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(prefix: str, declared: Declared, defaults: Any, classes: Mapping[str, Declared]) -> list[str]:
    """A heading, what the part is, its keys; then the parts within it."""
    parts = [f"## `{prefix}`", _marked(declared.text), _table(f"{prefix}.", declared, defaults, classes)]
    for key in declared.keys.values():
        if key.nested:
            inner = defaults.get(key.name) if isinstance(defaults, Mapping) else None
            parts += _section(f"{prefix}.{key.name}", classes[key.nested], inner, classes)
    return parts


def _models(classes: Mapping[str, Declared]) -> list[str]:
    """A section for each kind of model, whose config is in its folder."""
    parts = []
    for declared in (one for one in classes.values() if one.path.parent.parent.name == "models"):
        kind = declared.path.parent.name
        (heading, *rest) = _section("model", declared, composed(f"model={kind}")["model"], classes)
        parts += [f"{heading}, for `model={kind}`", *rest]
    return parts


def _table(prefix: str, declared: Declared, defaults: Any, classes: Mapping[str, Declared]) -> str:
    rows = ["| key | default | type | what it is |", "|---|---|---|---|"]
    for key in declared.keys.values():
        where = f"`{prefix}{key.name}`"
        if key.nested:
            rows.append(f"| {where} | | | {_marked(key.text) or _marked(classes[key.nested].text)} (see below) |")
            continue
        value = defaults.get(key.name) if isinstance(defaults, Mapping) else _plain(key.default)
        text = " ".join(part for part in (_marked(key.text), f"*{key.allowed}*" if key.allowed else "") if part)
        group = isinstance(value, Mapping) and (ROOT / "conf" / prefix / key.name).is_dir()
        shown = f"[group](#group-{key.name})" if group else _value(value)
        rows.append(f"| {where} | {shown} | `{_cell(key.kind)}` | {text} |")
    return "\n".join(rows)


def _plain(default: str | None) -> str:
    """A default of a dataclass as YAML has it; empty for a required field and for an empty container."""
    value = "" if default is None or "field(" in default else ast.literal_eval(default)
    return "" if value in ("", ()) else _value(list(value) if isinstance(value, tuple) else value).strip("`")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a part of its own" if value else "none"
    shown = value if isinstance(value, str) else json.dumps(value).replace('"', "")
    return f"`{_cell(shown)}`" if shown else ""


def _marked(text: str) -> str:
    """A docstring's text as Markdown in a cell."""
    return _cell(re.sub(r"``(.*?)``", r"`\1`", text)).replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def groups() -> Iterator[tuple[str, list[Path]]]:
    """Yield each group of ``conf/`` with its files."""
    for folder in sorted(path for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "hydra"):
        yield folder.name, sorted(folder.glob("*.yaml"))


def first_comment(text: str) -> str:
    """Return the first comment of a YAML file that does not say its package."""
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    return next((line for line in comments if not line.startswith("@package")), "")


def _groups() -> str:
    """A heading a group; its options with their first comment, each opening to its file."""
    parts = [
        "## The groups",
        "`group=option` on the command line picks a file of `conf/<group>`; open a line to read it.",
    ]
    for name, paths in groups():
        parts.append(f"### Group `{name}`")
        for path in paths:
            text = path.read_text(encoding="utf-8")
            shown = indent(f"```yaml\n{text.strip()}\n```", "    ")
            title = first_comment(text).replace('"', "'")
            parts.append(f'??? note "{name}={path.stem}: {title}"\n{shown}')
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs: put the reference into its page."""
    return markdown.replace(HERE, configuration()) if page.file.src_path == PAGE else markdown


if __name__ == "__main__":
    print(configuration())
