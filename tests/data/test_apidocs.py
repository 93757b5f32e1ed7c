"""The embedded default collection, on a package of a few lines: which passages, questions and judgements come of it."""

import gc
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.data.readers.apidocs import QUESTIONS, Apidocs, question, split_of
from experiments.data.readers.docstrings import PackageSources, clean, split_body, split_sections
from experiments.data.readers.package_sections import collection_paused, read_package, read_packages

NUMPYDOC = '''
__all__ = ["solve"]


def solve(a, b):
    """
    Solve the linear equation set :math:`a x = b` for square `a`.

    Parameters
    ----------
    a : (N, N) array_like
        Square input data.
    b : (N,) array_like
        Input data for the right side.

    Returns
    -------
    x : (N,) ndarray
        The solution array, of the shape of b.

    Raises
    ------
    LinAlgError
    """


def helper():
    """Help solve with the pivots of a matrix.

    Args:
        matrix: a matrix of floats, square and regular.

    Returns:
        the row of each pivot, from first to last.
    """
'''
GOOGLE = '''
class Model:
    """A model of two layers with a head on top.

    Example::

        >>> model = Model(3)
        >>> model.fit(first, second, third)
    """

    def __init__(self, size):
        """Build it.

        Args:
            size (int): how many units each layer has.
            rate (float, optional): the share of units
                that dropout sets to zero.
        """

    def fit(self, x):
        """Fit the model to the data in one pass.

        Note: this changes the model in place, and
        returns it.

        Returns:
            Model: the fitted model itself, not a copy.

        Raises:
            ValueError: if ``x`` has another width than the model.
        """

    def _step(self):
        """Do one step of gradient descent over the whole data.

        Args:
            none: there are no arguments to this private method.

        Returns:
            nothing: but the weights of the model have changed.
        """
'''


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution fake-docs 1.2+cpu with the package fakedocs; it raises when it is imported."""
    files = {
        "fakedocs/__init__.py": "from .linalg import solve\nfrom .models import *\nraise RuntimeError('imported')\n",
        "fakedocs/linalg/__init__.py": "from ._basic import *\n",
        "fakedocs/linalg/_basic.py": NUMPYDOC,
        "fakedocs/models.py": GOOGLE,
        "fakedocs/zcopy.py": NUMPYDOC,
        "fakedocs/tests/test_models.py": GOOGLE,
        "fakedocs/_vendor/models.py": GOOGLE,
        "fake_docs-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: fake-docs\nVersion: 1.2+cpu\n",
        "fake_docs-1.2.dist-info/top_level.txt": "fakedocs\n",
    }
    for name, text in files.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site" / "fakedocs"


@pytest.fixture
def second(fake: Path) -> Path:
    """Another package beside it, smaller."""
    path = fake.parent / "another" / "__init__.py"
    path.parent.mkdir()
    path.write_text(GOOGLE, encoding="utf-8")
    return path


def test_packages_are_read_side_by_side_as_they_are_one_by_one(second: Path):
    both = list(read_packages(["another", "fakedocs"]))
    assert both == [read_package("another"), read_package("fakedocs")]
    assert both[1]["fakedocs.Model.fit"]["notes"] == ["this changes the model in place, and returns it."]


def test_a_source_that_is_no_python_is_named_wherever_it_is_read(second: Path):
    second.write_text("def broken(:\n", encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"another/__init__\.py"):
        list(read_packages(["another", "fakedocs"]))


def test_passages_are_sections_under_the_shortest_public_name_without_copies_private_test_or_vendored_code(fake: Path):
    assert dict(Apidocs(["fakedocs"]).passages()) == {
        "fakedocs.Model#description": "fakedocs.Model description: A model of two layers with a head on top.",
        "fakedocs.Model#examples": "fakedocs.Model examples: >>> model = Model(3) >>> model.fit(first, second, third)",
        "fakedocs.Model#parameters": "fakedocs.Model parameters: size (int): how many units each layer has. "
        "rate (float, optional): the share of units that dropout sets to zero.",
        "fakedocs.Model.fit#description": "fakedocs.Model.fit description: Fit the model to the data in one pass.",
        "fakedocs.Model.fit#notes": "fakedocs.Model.fit notes: this changes the model in place, and returns it.",
        "fakedocs.Model.fit#returns": "fakedocs.Model.fit returns: Model: the fitted model itself, not a copy.",
        "fakedocs.Model.fit#raises": "fakedocs.Model.fit raises: ValueError: if x has another width than the model.",
        "fakedocs.solve#description": "fakedocs.solve description: Solve the linear equation set a x = b for square a.",
        "fakedocs.solve#parameters": "fakedocs.solve parameters: a : (N, N) array_like Square input data. "
        "b : (N,) array_like Input data for the right side.",
        "fakedocs.solve#returns": "fakedocs.solve returns: x : (N,) ndarray The solution array, of the shape of b.",
    }
    assert "fakedocs" not in sys.modules


def test_every_section_has_one_question_that_its_passage_answers(fake: Path):
    source = Apidocs(["fakedocs"])
    queries = dict(source.queries())
    judged = [row for rows in source.qrels().values() for row in rows]
    assert sorted(judged) == sorted((passage, passage, 1) for passage, _ in source.passages())
    assert set(queries) == {query for query, _, _ in judged}


def test_a_question_names_the_function_and_asks_for_the_section():
    names = ("scipy.linalg.solve", "solve from scipy.linalg", "scipy.linalg's solve")
    returns = {wording.format(it=it) for wording in QUESTIONS["returns"] for it in names}
    assert "What does scipy.linalg.solve return?" in returns
    assert question("scipy.linalg.solve#returns") in returns
    assert question("scipy.linalg.solve#raises") not in returns


def test_a_method_is_asked_for_as_one_of_its_class():
    names = ("nn.Module.eval", "eval of nn.Module", "nn.Module's eval")
    assert question("nn.Module.eval#yields") in {w.format(it=it) for w in QUESTIONS["yields"] for it in names}


@given(st.sampled_from(sorted(QUESTIONS)), st.text("abcXYZ_", min_size=1, max_size=8))
def test_a_function_name_is_in_one_split_whatever_its_module_section_case_or_underscores(kind: str, name: str):
    assert split_of(f"one.{name}#{kind}") == split_of(f"two.three.{name.upper()}_#returns")


def test_about_an_eighth_of_the_function_names_is_for_testing():
    splits = [split_of(f"package.f{number}#returns") for number in range(10_000)]
    assert splits.count("test") == pytest.approx(1_150, abs=100)
    assert splits.count("dev") == pytest.approx(850, abs=100)


def test_a_second_reading_gives_the_same(fake: Path):
    one, two = Apidocs(["fakedocs"]), Apidocs(["fakedocs"])
    assert list(one.passages()) == list(two.passages())
    assert list(one.queries()) == list(two.queries())


def test_the_fingerprint_names_the_versions_without_their_local_label(fake: Path):
    assert Apidocs(["fakedocs"]).fingerprint()["packages"] == {"fakedocs": "1.2"}


def test_a_missing_package_is_named_with_the_way_to_install_it():
    source = Apidocs(["no_such_package"])
    with pytest.raises(ExperimentError, match=r"'no_such_package' is not installed.*pip install no_such_package"):
        source.fingerprint()
    with pytest.raises(ExperimentError, match="'no_such_package' is not installed"):
        list(source.passages())


def test_a_file_that_is_no_python_is_named_with_its_line(fake: Path):
    (fake / "broken.py").write_text("x = 1\ndef (\n", encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"broken\.py, line 2: not valid Python"):
        PackageSources("fakedocs").public_docstrings()


def test_a_google_section_ends_where_the_text_is_no_longer_indented():
    docstring = "Short.\n\nArgs:\n    x: one\n\nMore text.\n\n.. note::\n    Mind it."
    sections = {kind: text.split() for kind, text in split_sections(docstring).items()}
    assert sections == {
        "description": ["Short.", "More", "text."],
        "parameters": ["x:", "one"],
        "notes": ["Mind", "it."],
    }


def test_a_fenced_example_that_is_not_indented_lasts_until_the_next_heading():
    docstring = "Short.\n\nExamples:\n\n```python\n>>> f(1)\n```\n\nReturns:\n    the rest"
    assert clean(split_sections(docstring)["examples"]) == ">>> f(1)"


def test_entries_without_a_heading_are_parameters():
    assert list(split_sections("labels (`LongTensor`, *optional*):\n    Labels of the loss.")) == ["parameters"]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("See :class:`~torch.nn.Module` and :meth:`fit <Model.fit>`.", "See torch.nn.Module and fit."),
        (":math:`i<j` holds\n.. versionadded:: 1.2\n\nfor ``i``", "i<j holds for i"),
        ("%(before_notes)s The end.", "The end."),
        (".. [1] A paper, `here <url>`_.", "[1] A paper, here <url>."),
        ("x[0] uses [`~Trainer.fit`]::\n\n    >>> x  # doctest: +SKIP", "x[0] uses Trainer.fit: >>> x"),
        ("text\n:param x: of Sphinx", "text"),
    ],
)
def test_markup_goes_and_text_stays(text: str, cleaned: str):
    assert clean(text) == cleaned


def test_a_long_section_is_cut_between_entries():
    text = "aa : int\n    one two\nbb : int\n    three four\ncc : int\n    five six"
    parts = split_body(text, "parameters", min_words=3, max_words=10, max_parts=2)
    assert parts == ["aa : int one two bb : int three four", "cc : int five six"]


def test_a_paragraph_is_cut_only_if_it_alone_is_too_long_and_the_last_parts_are_dropped():
    text = "a1 " * 4 + "\n\n" + "b2 " * 14
    assert split_body(text, "notes", 0, 10, 3) == ["a1 a1 a1 a1", " ".join(["b2"] * 10), " ".join(["b2"] * 4)]
    assert split_body(text, "notes", 0, 10, 1) == ["a1 a1 a1 a1"]


def test_a_rest_under_a_fifth_of_the_limit_joins_the_part_before_it():
    assert split_body("a1 " * 11, "notes", 0, 10, 3) == [" ".join(["a1"] * 11)]


def test_too_few_words_give_no_passage():
    assert split_body("out : ndarray", "returns", min_words=3, max_words=10, max_parts=2) == []


@given(st.text("ab \n"), st.sampled_from(["parameters", "notes"]))
def test_cutting_loses_no_words(text: str, kind: str):
    assert " ".join(split_body(text, kind, 0, 10, 1_000)) == clean(text)


def test_reference_cycles_are_collected_again_after_a_pause_that_ends_in_an_error():
    with pytest.raises(RuntimeError, match=r"^paused$"):
        fail_in_a_pause()
    assert gc.isenabled()


def fail_in_a_pause() -> None:
    with collection_paused():
        assert not gc.isenabled()
        raise RuntimeError("paused")
