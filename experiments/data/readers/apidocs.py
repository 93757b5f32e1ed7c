"""Read the default collection: the API documentation of the Python packages that this project installs.

`ast` reads the docstrings from the installed sources: nothing is imported or downloaded. Each section of a docstring
(numpydoc or Google style) becomes one or a few passages, and one question asks for it:

    passage  scipy.linalg.solve#returns   "scipy.linalg.solve returns: x : (N, NRHS) ndarray The solution array."
    query    scipy.linalg.solve#returns   "What does scipy.linalg.solve return?"

All sections of a function share its name, and most questions avoid the words of the heading. A lexical first stage
finds the function easily but not the section, which is left to the re-ranker. Package versions fix the content.
"""

import hashlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.data.readers.package_sections import read_packages
from experiments.data.source import SPLITS

READER_VERSION = 2  # raise it when the same packages give other passages, queries or qrels
# Installed with the project on every platform, directly or through another package.
DEFAULT_PACKAGES = (
    *("fontTools", "fsspec", "huggingface_hub", "lightning_fabric", "matplotlib", "mpmath", "networkx", "numpy"),
    *("omegaconf", "pyarrow", "pytorch_lightning", "rich", "scipy", "sympy", "torch", "torchmetrics"),
    *("transformers", "wandb"),
)
DISTRIBUTIONS = {"lightning_fabric": "pytorch-lightning"}  # where the name differs: to search all takes a second
MIN_SECTIONS = 3  # of a documented object: with fewer, finding the object is nearly the whole task
DEV_SHARE, TEST_SHARE = 0.085, 0.115

WORDINGS = {  # by kind of section, separated by |
    "description": (
        "What does {it} do? | What is {it} for? | What is the purpose of {it}? | Explain briefly what {it} does. | "
        "I came across {it}: what is it used for?"
    ),
    "parameters": (
        "Which arguments does {it} take? | What are the parameters of {it}? | What can I pass to {it}? | "
        "What inputs does {it} expect, and of which types? | What do the options of {it} mean?"
    ),
    "returns": (
        "What does {it} return? | What is the return value of {it}? | What do I get back from {it}? | "
        "What type is the result of {it}? | What is the output of {it}?"
    ),
    "yields": "What does {it} yield? | What do I get when I iterate over {it}? | What does {it} generate?",
    "raises": (
        "What errors can {it} raise? | Which exceptions does {it} throw? | When does {it} fail? | "
        "Which exception should I catch when calling {it}?"
    ),
    "warnings": (
        "Is there anything to be careful about with {it}? | What are the pitfalls of {it}? | "
        "What should I watch out for when using {it}?"
    ),
    "attributes": (
        "Which attributes does {it} have? | What can I read from an instance of {it}? | What fields are stored by {it}?"
    ),
    "notes": (
        "How does {it} work in detail? | What is the background of {it}? | What else should I know about {it}? | "
        "Are there any remarks on how {it} is implemented or behaves?"
    ),
    "examples": (
        "How do I use {it}? | Show me an example of {it}. | What does a call of {it} look like in code? | "
        "Is there a code snippet for {it}?"
    ),
    "see_also": (
        "What is related to {it}? | What are alternatives to {it}? | What is similar to {it}? | "
        "What else could I use instead of {it}?"
    ),
    "references": (
        "Which papers or pages describe the method behind {it}? | What literature is {it} based on? | "
        "Where can I read more about the method behind {it}?"
    ),
    "shape": "Which tensor shapes does {it} expect? | What shape do the input and output of {it} have?",
}
QUESTIONS = {kind: tuple(wordings.split(" | ")) for kind, wordings in WORDINGS.items()}


class Apidocs:
    """Passages by docstring section, one question a section, splits by function name.

    ``packages``: import names, each installed as a folder of Python sources. ``name``: what results call it.
    """

    def __init__(self, packages: Sequence[str] = DEFAULT_PACKAGES, name: str = "apidocs") -> None:
        self.packages, self.name = tuple(sorted(set(packages))), name

    def fingerprint(self) -> dict[str, Any]:
        """Return the versions of reader and packages, without local labels such as +cpu, which change no docstring.

        Raises:
            ExperimentError: a package is not installed.
        """
        versions = {package: _version(package).partition("+")[0] for package in self.packages}
        return {"reader": f"apidocs/{READER_VERSION}", "packages": versions}

    @cached_property
    def sections(self) -> dict[str, list[str]]:
        """Map section ids (name#kind) to the bodies of their passages, without bodies that occurred before.

        Raises:
            ExperimentError: a package is not installed or a source file is not valid Python.
        """
        sections: dict[str, list[str]] = {}
        seen: set[str] = set()
        for package in read_packages(self.packages):
            for name, bodies_of in package.items():
                unseen = {kind: [body for body in bodies if body not in seen] for kind, bodies in bodies_of.items()}
                if sum(map(bool, unseen.values())) >= MIN_SECTIONS:
                    seen.update(body for bodies in unseen.values() for body in bodies)
                    sections |= {f"{name}#{kind}": bodies for kind, bodies in unseen.items() if bodies}
        return sections

    def passages(self) -> Iterator[tuple[str, str]]:
        """Yield (passage id, "qualified name heading: body"); a long section's parts are name#kind, name#kind-2, ..."""
        for section, bodies in self.sections.items():
            name, _, kind = section.partition("#")
            for passage, body in zip(passage_ids(section, len(bodies)), bodies, strict=True):
                yield passage, f"{name} {kind.replace('_', ' ')}: {body}"

    def queries(self) -> Iterator[tuple[str, str]]:
        return ((section, question(section)) for section in self.sections)

    def qrels(self) -> dict[str, Iterator[tuple[str, str, int]]]:
        """Return (section id, passage id, 1) by split; every part of a section answers its question."""
        return {split: self._judgements(split) for split in SPLITS}

    def _judgements(self, split: str) -> Iterator[tuple[str, str, int]]:
        for section, bodies in self.sections.items():
            if split_of(section) == split:
                for passage in passage_ids(section, len(bodies)):
                    yield section, passage, 1


def passage_ids(section: str, count: int) -> list[str]:
    """Return the ids of a section's parts: the section's id, then with -2, -3, ..."""
    return [section if part == 1 else f"{section}-{part}" for part in range(1, count + 1)]


def question(section: str) -> str:
    """Return the question for a section (name#kind), in a wording chosen by a hash of the id."""
    name, _, kind = section.partition("#")
    owner, _, last = name.rpartition(".")
    is_method = owner.rpartition(".")[2][:1].isupper()
    forms = (name, name, f"{last} {'of' if is_method else 'from'} {owner}", f"{owner}'s {last}")
    wording = QUESTIONS[kind][_hash("wording", section) % len(QUESTIONS[kind])]
    return wording.format(it=forms[_hash("form", section) % len(forms)])


def split_of(section: str) -> str:
    """Choose train, dev or test by the last component of the name, so that no function name is in two splits.

    Case and underscores do not count: accuracy and Accuracy have nearly the same documentation.
    """
    last = section.partition("#")[0].rpartition(".")[2].replace("_", "").lower()
    position = _hash("split", last) % 1000 / 1000
    return "test" if position < TEST_SHARE else "dev" if position < TEST_SHARE + DEV_SHARE else "train"


def _hash(purpose: str, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{text}".encode()).digest()[:8], "big")


def _version(package: str) -> str:
    """Return the version of the distribution of an import name."""
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        distributions = importlib.metadata.packages_distributions().get(package)
        if not distributions:
            raise ExperimentError(f"the package {package!r} is not installed: pip install {package}") from None
        return importlib.metadata.version(distributions[0])
