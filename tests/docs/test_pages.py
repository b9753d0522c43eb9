"""What README and the pages show is true: Python runs, commands parse, files and targets exist."""

import doctest
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from qnewton.cli import main
from qnewton.cli.main import COMMANDS, parse

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if not {"_build", "auto_gallery"} & set(path.relative_to(ROOT).parts)
    ),
]
_INLINE = re.compile(r"(?<!`)`((?:qnewton|make|pip|pytest) [^`]+)`(?!`)")
_FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: str(path.relative_to(ROOT)).removeprefix("docs/")
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
    """Return the command lines a page shows, in blocks and in its text, as words."""
    lines = [
        line.removeprefix("$ ")
        for block, _ in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    lines += [" ".join(match.split()) for match in _INLINE.findall(text)]
    return [shlex.split(line, comments=True) for line in lines]


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
def test_python_listings_run(page: Path) -> None:
    # Shown without their output, so that a reader can paste them.
    names: dict[str, object] = {}
    for code, line in blocks(page, "python"):
        exec(compile("\n" * line + code, str(page), "exec"), names)


def test_the_optimizer_in_ten_lines_prints_what_a_step_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ((code, _),) = blocks(README, "python")
    exec(code, {})
    (line,) = capsys.readouterr().out.splitlines()
    found = re.fullmatch(r"step 19: loss (\S+), λ \S+, ρ .+, (\w+), (\S+) s measured", line)
    assert found is not None, line
    assert 0 < float(found[1]) < 2.4  # it began at about ln 10
    assert float(found[3]) > 0


@each_page
def test_commands_parse(page: Path) -> None:
    for words in commands(page):
        if words[0] == "qnewton" and words[1:] and not words[-1].startswith("--help"):
            parse(COMMANDS, words[1:])


@each_page
def test_make_targets_and_extras_that_a_page_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for words in commands(page):
        if words[0] == "make":
            assert set(words[1:]) <= targets
        for extra in re.findall(r"\.\[(.*?)\]", " ".join(words)):
            assert set(extra.split(",")) <= set(project["optional-dependencies"])


def test_the_table_of_extras_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| extra \|.*\n\|-.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    shown = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(shown) == sorted(project["optional-dependencies"])


def test_readme_shows_every_command_and_every_target() -> None:
    shown = {tuple(words[:2]) for words in commands(README)}
    assert {words[1] for words in shown if words[0] == "qnewton"} == {*COMMANDS, "COMMAND"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    explained = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert {words[1] for words in shown if words[0] == "make"} == explained - {"clean", "help"}


def test_readmes_quick_commands_do_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    says = {"price": "seconds", "circuit": "to the exact solution"}
    quick = [words for words in commands(README) if words[0] == "qnewton" and words[1] in says]
    assert {words[1] for words in quick} == {*says}
    for words in quick:
        assert main(words[1:]) == 0
        assert says[words[1]] in capsys.readouterr().out


@each_page
def test_files_that_a_page_links_to_exist(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"[a-z]+:", link) and "auto_gallery" not in link:
            assert (page.parent / link).exists(), link


@each_page
def test_tests_that_a_page_names_exist(page: Path) -> None:
    for words in commands(page):
        if words[0] == "pytest":
            path, _, name = words[1].partition("::")
            assert (ROOT / path).exists()
            assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_every_package_has_its_page() -> None:
    packages = {path.parent.name for path in (ROOT / "src/qnewton").glob("*/__init__.py")}
    pages = {path.stem for path in (ROOT / "docs/packages").glob("*.md")}
    assert pages == packages | {"index"}
