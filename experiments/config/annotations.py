"""Tell whether a value is what an annotation allows, such as ``int | None``.

A part's settings have no declared types, as any function or class can be a part: the annotations of its parameters tell
them, as text. What is no type of a config (a tensor, another part) allows any value.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

SCALARS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
}
LISTS, MAPPINGS = ("list", "tuple", "Sequence"), ("dict", "Mapping")


@dataclass(frozen=True)
class _Type:
    """``fits``: whether a value is one of this type. ``called``: what users call it; nothing if any value fits."""

    fits: Callable[[Any], bool]
    called: str


_ANY = _Type(lambda value: True, "")


def misfit(value: Any, annotation: str) -> str | None:
    """Return what a value should be, such as "a whole number or null"; None if the annotation allows it."""
    wanted = _of_text(annotation)
    return None if wanted.fits(value) else wanted.called


@cache
def _of_text(annotation: str) -> _Type:
    try:
        return _type_of(ast.parse(annotation, mode="eval").body)
    except SyntaxError:
        return _ANY


def _type_of(node: ast.expr) -> _Type:
    if isinstance(node, ast.BinOp):
        return _one_of([_type_of(node.left), _type_of(node.right)])
    if isinstance(node, ast.Constant):
        return _Type(lambda value: value is None, "null") if node.value is None else _of_text(str(node.value))
    if not isinstance(node, ast.Subscript):
        return _plain(_name(node))
    name, inner = _name(node.value), node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name in ("Union", "Optional"):
        return _one_of([*map(_type_of, inner), *([_type_of(ast.Constant(None))] if name == "Optional" else [])])
    if name == "Literal":
        choices = [one.value for one in inner if isinstance(one, ast.Constant)]
        return _Type(lambda value: value in choices, " or ".join(map(str, choices)))
    if name in LISTS:
        each = _type_of(inner[0])  # several parts may be named by one text
        return _list_of(each) if each.called or _name(inner[0]) == "Any" else _ANY
    return _mapping_of(_type_of(inner[-1])) if name in MAPPINGS else _ANY


def _plain(name: str) -> _Type:
    if name in LISTS:
        return _list_of(_ANY)
    if name in MAPPINGS:
        return _mapping_of(_ANY)
    if name not in SCALARS:
        return _ANY
    kinds, called = SCALARS[name]
    return _Type(lambda value: isinstance(value, kinds) and (name == "bool" or not isinstance(value, bool)), called)


def _list_of(each: _Type) -> _Type:
    return _Type(
        lambda value: isinstance(value, Sequence) and not isinstance(value, str) and all(map(each.fits, value)),
        f"a list, each {each.called}" if each.called else "a list",
    )


def _mapping_of(each: _Type) -> _Type:
    return _Type(
        lambda value: isinstance(value, Mapping) and all(map(each.fits, value.values())),
        f"named values, each {each.called}" if each.called else "named values",
    )


def _one_of(types: list[_Type]) -> _Type:
    if not all(one.called for one in types):
        return _ANY
    return _Type(
        lambda value: any(one.fits(value) for one in types), " or ".join(dict.fromkeys(one.called for one in types))
    )


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name."""
    return ast.unparse(node).rpartition(".")[2]
