"""What the pages show is true: Python blocks run, with the output shown; commands parse."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from qnewton.cli.commands import COMMANDS
from qnewton.cli.parsing import parse

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")
    if not {"_build", "auto_gallery"} & set(path.relative_to(ROOT).parts)
)
_FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: str(path.relative_to(ROOT / "docs"))
)


def blocks(page: Path, language: str) -> list[tuple[str, int]]:
    """Return the fenced blocks of a language with the line each begins after."""
    text = page.read_text(encoding="utf-8")
    return [
        (match[2], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
        if match[1] == language
    ]


def commands(page: Path) -> list[list[str]]:
    """Return the command lines a page shows, as words."""
    return [
        shlex.split(line.removeprefix("$ "), comments=True)
        for block, _ in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


@pytest.mark.slow
@each_page
def test_python_blocks_print_what_is_shown(page: Path) -> None:
    # One namespace a page, as a reader types it.
    names: dict[str, object] = {}
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=_OPTIONS, verbose=False)
    for code, line in blocks(page, "pycon"):
        test = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), line)
        runner.run(test, out=failures.append, clear_globs=False)
        names = test.globs
    assert not failures, "\n".join(failures)


@each_page
def test_commands_parse(page: Path) -> None:
    for words in commands(page):
        if words[0] == "qnewton" and "--help" not in words:
            parse(COMMANDS, words[1:])


@each_page
def test_tests_that_a_page_names_exist(page: Path) -> None:
    for words in commands(page):
        if words[0] == "pytest":
            path, _, name = words[1].partition("::")
            assert (ROOT / path).exists()
            assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_every_room_has_its_page() -> None:
    rooms = {path.parent.name for path in (ROOT / "src/qnewton").glob("*/__init__.py")}
    pages = {path.stem for path in (ROOT / "docs/rooms").glob("*.md")}
    assert pages == rooms | {"index"}
