"""The start page lists ten questions of three readers, and each answer's page and heading exist."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
START = (DOCS / "index.md").read_text(encoding="utf-8")
_QUESTION = re.compile(r"^(\d+)\. (.+?\?)(.*?)(?=^\d+\. |^#|^More )", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def questions() -> list[tuple[str, str]]:
    """Return each question with the text of its answer's links."""
    section = START.partition("## Ten questions")[2].partition("\n## ")[0] + "\n# end"
    return [(match[2], match[3]) for match in _QUESTION.finditer(section)]


def anchor(title: str) -> str:
    """Return what MyST makes of a heading, as GitHub does."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, code blocks left out."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {anchor(title) for title in re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)}


def test_there_are_ten_of_three_readers() -> None:
    assert len(questions()) == 10
    for reader in ("researcher", "practitioner", "student"):
        assert f"### A {reader} asks" in START


@pytest.mark.parametrize(("question", "answer"), questions())
def test_an_answer_is_one_click_away(question: str, answer: str) -> None:
    links = _LINK.findall(answer)
    assert links, question
    for link in links:
        path, _, heading = link.partition("#")
        assert (DOCS / path).is_file(), link
        assert heading in anchors(DOCS / path), link


def test_headings_that_other_links_name_exist() -> None:
    pages = [
        page for page in DOCS.rglob("*.md") if not {"_build", "auto_gallery"} & set(page.parts)
    ]
    found = {page: anchors(page) for page in pages}
    broken = []
    for page in pages:
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if heading and target in found and heading not in found[target]:
                broken.append(f"{page.relative_to(DOCS)}: {link}")
    assert broken == []
