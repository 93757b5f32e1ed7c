"""The pages build without a warning, every link and picture is there, every key has its meaning."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from helpers.jobs import ROOT
from helpers.pages import BLOCK, PAGES, docs_script, files_shown, name_of, spans

from experiments.config.experiment import Experiment
from experiments.config.keys import declared

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ON_DEMAND = ("sweeps/wandb", "sweeps/results")  # written by a command
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Python-Markdown writes them."""
    from markdown.extensions.toc import slugify

    headings = HEADING.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {slugify(heading.replace("`", ""), "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path):
    for link in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{link}: there is no {target}"
        written = target.name == "configuration.md"  # its headings are written when the site is built
        assert not anchor or written or anchor in anchors(target), f"{link}: no such heading"


def test_every_picture_is_shown_by_a_page():
    shown = {link for page in PAGES for link in LINK.findall(page.read_text(encoding="utf-8"))}
    pictures = {path.name for path in (ROOT / "docs" / "images").rglob("*") if path.is_file()}
    assert pictures <= {Path(link).name for link in shown}


def test_every_page_is_in_the_navigation():
    def flat(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry if isinstance(entry, list) else list(entry.values()) if isinstance(entry, dict) else []
        return [page for part in parts for page in flat(part)]

    listed = flat(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(listed) == sorted(name_of(page)[5:] for page in PAGES if name_of(page).startswith("docs/"))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 125


def test_the_site_builds_without_a_warning(tmp_path: Path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "negatives.count" in (tmp_path / "configuration.html").read_text()


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    return docs_script("write_configuration")


def test_the_reference_has_every_key(writer: ModuleType):
    text = writer.configuration()
    assert [key for key in declared(Experiment) if f"`{key}`" not in text] == []


def test_a_meaning_is_read_from_below_a_field_or_from_the_docstring_of_its_class(tmp_path: Path, writer: ModuleType):
    module = tmp_path / "some.py"
    module.write_text('''
SIDES = ("left", "right")

@dataclass
class Door:
    """A door. ``width`` and ``height``: in metres. ``side``: where the handle is."""

    width: float = 1.0
    height: float = 2.0
    side: str = "left"
    locked: bool = False
    """Whether a key is needed."""

    def __post_init__(self) -> None:
        at_least("door.width", self.width, 0, strictly=True)
        one_of("door.side", self.side, SIDES)
''')
    door = writer.read((module,))["Door"]
    assert door.text == "A door."
    assert {key.name: key.text for key in door.keys.values()} == {
        "width": "in metres.",
        "height": "in metres.",
        "side": "where the handle is.",
        "locked": "Whether a key is needed.",
    }
    assert (door.keys["width"].allowed, door.keys["side"].allowed) == ("above 0", "`left`, `right`")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path):
    shown = {path for each in PAGES for path in files_shown(each)}
    named = {span for span in spans(page) if re.fullmatch(r"(?:experiments|tests|conf|sweeps|docs)/[\w./]+", span)}
    assert [name for name in sorted(named - shown) if name not in ON_DEMAND and not (ROOT / name).exists()] == []
