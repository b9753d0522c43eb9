"""The documentation as it was built: what ``make docs`` runs when its pages are written."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.browsing import DESK, PHONE, Reader, sideways, violations

BUILT = Path(__file__).parents[2] / "docs" / "_build"
START = BUILT / "index.html"

# What readers look for, by how often the pages say it; API pages say most of them oftener still.
WORDS = ("solver", "step", "price", "matrix", "loss", "damping", "circuit", "closure", "HHL", "fit")
ANSWERS = re.compile(
    r"(index|install|first-steps|faq|glossary|pytorch|circuits|prices|honesty)\.html|(guides|concepts)/"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not START.exists(), reason="the pages are not built: run make docs"),
]


class Links(HTMLParser):
    """Collects what a page links to, and the places that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if known.get("id"):
            self.places.add(str(known["id"]))
        if tag == "a" and known.get("href") is not None:
            self.hrefs.append(str(known["href"]))


def missing(page: Path, href: str) -> str | None:
    """Return what a local link leads to where nothing is there."""
    if not href:
        return f"{page.name}: a link without an address"
    parts = urlsplit(href)
    if parts.scheme or parts.netloc:
        return None
    target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
    if not target.exists():
        return f"{page.name}: {href}: no such file"
    place = unquote(parts.fragment)
    if place and target.suffix == ".html" and place not in Links(target).places:
        return f"{page.name}: {href}: no such place"
    return None


def questions() -> Iterator[list[str]]:
    """Yield the links of each of the start page's questions."""
    text = START.read_text(encoding="utf-8")
    section = re.search(r'<section id="ten-questions">.*?</section>\s*</section>', text, re.DOTALL)
    assert section is not None, "the start page has no section of ten questions"
    for item in re.findall(r"<li>.*?</li>", section[0], re.DOTALL):
        yield re.findall(r'<a class="reference internal" href="([^"]+)"', item)


class Quiet(SimpleHTTPRequestHandler):
    """Serves the built pages, and says nothing."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=str(BUILT))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The pages as a server on this machine gives them; what is checked may not read files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "name", ["index.html", "explorable.html", "prices.html", "concepts/qsvt.html"]
)
@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)])
def test_everybody_can_read_it(
    reader: Reader, site: str, name: str, size: tuple[int, int], dark: bool
) -> None:
    page = reader.open(f"{site}/{name}", size, dark=dark)
    assert violations(page) == []
    assert sideways(page) == 0


def test_each_question_is_answered_within_two_clicks() -> None:
    asked = list(questions())
    assert len(asked) == 10
    for links in asked:
        assert links, "a question without a link"
        assert [said for link in links if (said := missing(START, link))] == []


@pytest.mark.parametrize("name", ["index.html", "explorable.html"])
def test_links_lead_somewhere(name: str) -> None:
    page = BUILT / name
    assert [said for href in Links(page).hrefs if (said := missing(page, href))] == []


def test_the_start_page_leads_to_the_explorable() -> None:
    assert "explorable.html" in Links(START).hrefs


def test_search_finds_what_answers_before_what_lists(reader: Reader, site: str) -> None:
    page = reader.open(f"{site}/search.html")
    for word in WORDS:
        page.goto(f"{site}/search.html?q={word}")
        found = page.locator("#search-results ul.search > li > a")
        found.nth(2).wait_for()
        first = [found.nth(i).get_attribute("href") or "" for i in range(3)]
        assert ANSWERS.match(first[0]), (word, first)
        assert not [href for href in first if href.startswith(("api/", "packages/"))], (word, first)


def test_formulas_are_drawn_whole() -> None:
    # The converter leaves a command that it does not know as it is, and the reader sees TeX.
    pages = {page: page.read_text(encoding="utf-8") for page in BUILT.rglob("*.html")}
    drawn = [
        (page.name, re.sub(r"<[^>]*>", "", formula))
        for page, text in pages.items()
        for formula in re.findall(r"<math.*?</math>", text, re.DOTALL)
    ]
    assert len(drawn) > 50
    assert [(page, formula) for page, formula in drawn if "\\" in formula] == []
