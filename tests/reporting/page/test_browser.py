"""The page of a study in a browser: what a reader can do with it, and that it asks the network for nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import browser
from helpers.findings import BCE, LCE, TABLE, small_findings

from experiments.reporting.page.page import write_page
from experiments.reporting.plots.build import figures_of

WIDE, NARROW = {"width": 1100, "height": 900}, {"width": 360, "height": 700}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the page of a small study, on this disk."""
    findings = small_findings(tmp_path_factory.mktemp("study") / "s")
    return write_page(findings, figures_of(findings), findings.folder / "report.html").as_uri()


class Opened:
    """A page in a browser. ``asked``: every address that it asked for; ``complaints``: errors and console messages."""

    def __init__(self, chromium: Any, address: str, **settings: Any) -> None:
        self.page = chromium.new_context(**({"viewport": WIDE, "color_scheme": "light"} | settings)).new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.goto(address)

    def texts(self, selector: str) -> list[str]:
        """The texts of the elements that a selector finds, white space apart."""
        return [" ".join(text.split()) for text in self.page.locator(selector).all_inner_texts()]

    def ground(self) -> str:
        """The colour behind everything."""
        return str(self.page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_page_asks_for_itself_only_and_complains_of_nothing(chromium: Any, address: str):
    opened = Opened(chromium, address)
    assert opened.asked == [address]
    assert opened.complaints == []


ATTACKS = [
    "<script>window.attacked=1</script>",
    "</script><script>window.attacked=1</script>",
    "</style></title></textarea><script>window.attacked=1</script>",
    "<!--<script>window.attacked=1</script>-->",
    "<img src=x onerror=window.attacked=1>",
    "<svg onload=window.attacked=1>",
    "<iframe srcdoc='<script>parent.attacked=1</script>'></iframe>",
    "<a href=javascript:window.attacked=1 autofocus onfocus=window.attacked=1>x</a>",
    "<details open ontoggle=window.attacked=1>x</details>",
    "<meta http-equiv=refresh content='0;url=javascript:window.attacked=1'>",
    '"><img src=x onerror=window.attacked=1>',
    "' onmouseover='window.attacked=1' x='",
    "';window.attacked=1;//",
    "`${window.attacked=1}`",
    "\u2028window.attacked=1//",
    "{{constructor.constructor('window.attacked=1')()}}",
    "javascript:window.attacked=1",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_text_is_never_run(chromium: Any, tmp_path: Path, attack: str):
    table = {**TABLE, "title": attack, "notes": attack, "source": attack}
    table["claims"] = [{**TABLE["claims"][0], "says": attack, "published": attack}]
    texts = dict.fromkeys(("q1", "q2", "q3", "q4"), attack)
    findings = small_findings(tmp_path / "s", table=table, texts=texts, labels={"variant": attack})
    address = write_page(findings, figures_of(findings), tmp_path / "report.html").as_uri()
    opened = Opened(chromium, address)
    opened.page.select_option("#job-a", index=0)
    opened.page.select_option("#job-b", index=1)
    opened.page.locator("#wins .card").first.hover()
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("window.attacked") is None
    assert opened.asked == [address]
    shown = opened.page.evaluate("document.documentElement.textContent")
    assert shown.count(attack) >= 8, "it is shown as it is written, in every place"


def test_two_chosen_jobs_are_compared_query_by_query_with_their_passages(chromium: Any, address: str):
    opened = Opened(chromium, address)
    opened.page.select_option("#job-a", label="bce, n = 7, seed 1")
    opened.page.select_option("#job-b", label="lce, n = 7, seed 1")
    assert opened.texts("#counts") == ["B is ahead on 2 queries, A on 1, equal on 1."]
    first = opened.texts("#wins .card")[0]
    assert first.startswith("Question q3? +0.750 RR@10: A 0.250, B 1.000, BM25 1.000")
    assert "The answer to q3. q3-relevant; BM25: rank 3, A: rank 2, B: rank 2" in first
    assert "A ranked first What bce prefers for q3. q3-bce; BM25: rank 9" in first
    assert "B ranked first What lce prefers for q3. q3-lce; BM25: rank 9" in first
    assert opened.texts("#losses .card h4") == ["Question q2? -0.750"]
    assert opened.complaints == []


def test_the_choice_is_kept_in_the_address(chromium: Any, address: str):
    opened = Opened(chromium, address)
    opened.page.select_option("#job-a", label="bce, n = 7, seed 1")
    opened.page.fill("#filter", "q2")
    kept = opened.page.evaluate("location.href")
    assert f"a={BCE}" in kept
    again = Opened(chromium, kept)
    chosen = again.page.evaluate("['job-a', 'job-b'].map((id) => document.getElementById(id).selectedOptions[0].title)")
    assert chosen == [BCE, LCE]
    assert again.texts(".card h4") == ["Question q2? -0.750"]


def test_cards_are_walked_with_the_arrow_keys(chromium: Any, address: str):
    opened = Opened(chromium, f"{address}#queries?a={BCE}&b={LCE}")
    focused = "document.activeElement.querySelector('h4 span').textContent"
    opened.page.focus("#wins .card")
    opened.page.keyboard.press("ArrowDown")
    assert opened.page.evaluate(focused) == "Question q1?"
    opened.page.keyboard.press("ArrowUp")
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.evaluate(focused) == "Question q2?"


def test_a_click_on_a_column_sorts_by_it_and_another_turns_it_round(chromium: Any, address: str):
    opened = Opened(chromium, address)
    column = "#results tbody td:nth-child(3)"
    head = opened.page.locator("#results thead th", has_text="MRR@10")
    head.locator("button").click()
    assert opened.texts(column) == ["0.562", "0.438", "0.438"]
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert opened.texts(column) == ["0.438", "0.438", "0.562"]
    assert head.get_attribute("aria-sort") == "ascending"


def test_the_page_follows_the_system_and_can_be_switched(chromium: Any, address: str):
    light, dark = Opened(chromium, address), Opened(chromium, address, color_scheme="dark")
    white, black = light.ground(), dark.ground()
    assert (white, black) == ("rgb(255, 255, 255)", "rgb(20, 23, 26)")
    light.page.click("#theme")
    dark.page.click("#theme")
    assert (light.ground(), dark.ground()) == (black, white)


def test_nothing_runs_out_of_a_narrow_window(chromium: Any, address: str):
    opened = Opened(chromium, address, viewport=NARROW)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360


def test_without_javascript_all_but_single_queries_can_be_read(chromium: Any, address: str):
    opened = Opened(chromium, address, java_script_enabled=False)
    assert opened.texts("#published tbody")
    assert opened.texts("#results h3") == ["BM25 re-ranked, apidocs"]
    assert opened.page.locator("#claims .badge").is_visible()
    assert opened.page.locator("figure svg").first.is_visible()
    assert opened.texts("#queries noscript p") == [
        "This part needs JavaScript; each job's per_query files have the same values."
    ]
    assert not opened.page.locator("#choice").is_visible()


@pytest.mark.parametrize(
    "settings", [{}, {"color_scheme": "dark"}, {"viewport": NARROW}], ids=["light", "dark", "narrow"]
)
def test_a_picture_of_the_page_shows_more_than_its_ground(
    chromium: Any, address: str, settings: dict[str, Any], tmp_path: Path
):
    import matplotlib.image

    opened = Opened(chromium, address, **settings)
    path = tmp_path / "page.png"
    opened.page.screenshot(path=path, full_page=True)
    pixels = matplotlib.image.imread(path)[..., :3]
    ground = [int(part) / 255 for part in re.findall(r"\d+", opened.ground())]
    written = (abs(pixels - ground).max(axis=-1) > 0.2).mean()
    assert 0.01 < written < 0.5
