"""Read what the README, CONTRIBUTING and the pages of ``docs/`` show: code blocks, commands, overrides, links."""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from helpers.jobs import ROOT

from experiments.config.files import USER_FOLDER

TEXTS = ROOT / "docs" / "findings"  # from which docs/findings.md is written: no pages of their own
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent != TEXTS),
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FILE = re.compile(r"`([\w/.]+)`\n\n```\w+\n(.*?)```", re.DOTALL)
COMMANDS = ("rerank-ablations", "python", "make", "torchrun", "wandb", ".venv/bin/wandb", "pip")


@dataclass(frozen=True)
class Command:
    """A shell command that a page shows. ``words``: without the comment, quotes resolved."""

    page: str
    words: tuple[str, ...]

    @property
    def module(self) -> str | None:
        """The entry point of ours that it calls, such as ``train``; None for another program."""
        if self.words[0] == "rerank-ablations":
            return self.words[1]
        modules = [after for word, after in zip(self.words, self.words[1:], strict=False) if word == "-m"]
        ours = [module for module in modules if module.startswith("experiments.")]
        return ours[0].removeprefix("experiments.") if ours and self.words[0] in ("python", "torchrun") else None

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the entry point is given."""
        if self.words[0] == "rerank-ablations":
            return self.words[2:]
        return self.words[self.words.index(f"experiments.{self.module}") + 1 :]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def name_of(page: Path) -> str:
    """``docs/guides/wandb.md`` for a page."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in some languages."""
    return [text for language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def files_shown(page: Path) -> dict[str, str]:
    """The files that a page shows: a path in backticks, an empty line, a code block."""
    return dict(FILE.findall(page.read_text(encoding="utf-8")))


def add_parts_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all parts that the pages show usable: their config files in a user's folder, their modules on the path."""
    monkeypatch.syspath_prepend(str(folder))
    for page in PAGES:
        for path, text in files_shown(page).items():
            target = folder / re.sub(r"^(my_)?conf/", "", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            if path.startswith("experiments/"):
                _extend_package(target.parent, Path(path).parent, monkeypatch)
    monkeypatch.setenv(USER_FOLDER, str(folder))


def _extend_package(written: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a package of ours find the modules that were written for it elsewhere."""
    if not (ROOT / path).is_dir():  # a package of its own: its parent has to find it
        (written / "__init__.py").touch()
        written, path = written.parent, path.parent
    package = importlib.import_module(".".join(path.parts))
    if str(written) not in package.__path__:
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(written)])


def commands(page: Path) -> list[Command]:
    """The commands of a page's shell blocks and of its spans of code."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    lines += [span for span in SPAN.findall(BLOCK.sub("", text)) if span.partition(" ")[0] in COMMANDS and " " in span]
    split = [shlex.split(line, comments=True) for line in lines]
    return [Command(name_of(page), tuple(words)) for words in split if words]


def spans(page: Path) -> Iterator[str]:
    """The spans of code in the prose of a page."""
    yield from SPAN.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))


def docs_script(name: str) -> ModuleType:
    """Load ``docs/<name>.py``, which belongs to no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
