"""Every example of the gallery runs to its end and prints, and its text is markup that is read."""

import ast
import re
import runpy
from itertools import pairwise
from pathlib import Path

import pytest

# Of the extras ``integrations``, ``gallery`` and ``quantum``: one may not be installed.
_DRAWN = ("qiskit", "matplotlib", "pylatexenc")
FRAMEWORKS = {
    "plot_5_hhl_circuit": _DRAWN,
    "plot_6_qsvt_circuit": _DRAWN,
    "plot_7_todays_noise": ("qiskit", "qiskit_aer"),
    "plot_1_lightning": ("lightning",),
    "plot_2_transformers_trainer": ("transformers", "accelerate"),
    "plot_3_accelerate": ("accelerate",),
    "plot_8_circuits_in_training": ("qiskit", "qiskit_aer"),
    "plot_3_kinetics": ("torchdiffeq",),
    "plot_4_registration": ("PIL",),
}

DOCS = Path(__file__).parents[2] / "docs"
GALLERY = DOCS / "gallery"
EXAMPLES = sorted(GALLERY.glob("*/plot_*.py"))

# What may hold any character: literals, roles and links, and what a backslash escapes.
_MARKED = re.compile(r"``.+?``|:[a-z:]+:`.+?`|`[^`]+ <[^`>]+>`__?|\\.", re.DOTALL)
_TEXT_BLOCK = re.compile(r"^# %%\n((?:#.*\n)+)", re.MULTILINE)
_UNDERLINE = re.compile(r"([=\-~^])\1{2,}")


def text_blocks(source: str) -> list[str]:
    """Return what sphinx-gallery reads as reStructuredText: docstring and ``# %%`` comments."""
    blocks = [ast.get_docstring(ast.parse(source), clean=True) or ""]
    comments = (match[1].splitlines() for match in _TEXT_BLOCK.finditer(source))
    return blocks + ["\n".join(line[2:] for line in lines) for lines in comments]


def faults(text: str) -> list[str]:
    """Return what reStructuredText would read as markup, and the author meant as text."""
    plain = _MARKED.sub(" ", text)
    found = [f"a bare {mark!r}" for mark in "|`" if mark in plain]
    found += [f"a link {word!r}" for word in re.findall(r"\w+_(?=[\s.,;:)]|$)", plain)]
    if plain.count("*") % 2:
        found.append("a '*' without its other")
    lines = text.splitlines()
    for title, line in pairwise(lines):
        if _UNDERLINE.fullmatch(line) and len(line) < len(title):
            found.append(f"a line too short under {title!r}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in FRAMEWORKS.get(path.stem, ()):
        pytest.importorskip(package)
    # In this process: a new one would load torch again, which takes longer than most examples.
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_examples_are_grouped_by_reader() -> None:
    groups = {path.parent for path in EXAMPLES}
    assert {group.name for group in groups} == {"train", "fit", "quantum", "frameworks"}
    assert all((group / "README.rst").is_file() for group in groups)
    assert not [*GALLERY.glob("plot_*.py")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_caption_is_one_short_sentence(path: Path) -> None:
    # What the gallery shows below the thumbnail: the paragraph after the title.
    caption = " ".join(text_blocks(path.read_text(encoding="utf-8"))[0].split("\n\n")[1].split())
    assert caption.endswith(".")
    assert ". " not in caption
    assert 40 < len(caption) <= 110


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_thumbnail_shows_something(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    named = re.search(r'^# sphinx_gallery_thumbnail_path = "(.+)"$', source, re.MULTILINE)
    if named:
        assert (DOCS / named[1]).is_file()
    else:
        assert any(map(draws, re.split(r"^# %%\n", source, flags=re.MULTILINE)))


def draws(block: str) -> bool:
    """Return whether a block ends in what docs/_ext/picture_scraper.py makes a picture of."""
    statements = ast.parse(block).body
    if not (statements and isinstance(statements[-1], ast.Expr)):
        return False
    marks = r"\.(mark_\w+|properties|draw)\(|\b(layer|[hv]?concat)\("
    return bool(re.search(marks, ast.unparse(statements[-1])))


def test_a_block_that_only_prints_draws_nothing() -> None:
    assert not draws("rows = alt.Chart(1)\nprint(rows)")
    assert draws("rows = 1\nalt.Chart(rows).mark_bar()")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_text_holds_no_bar_or_backtick_that_sphinx_would_refuse(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    blocks = text_blocks(source)
    assert len(blocks) == 1 + source.count("\n# %%\n# ")
    assert [fault for block in blocks for fault in faults(block)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("with probability (1 + |⟨a|b⟩|²)/2", "a bare '|'"),
        ("as `QNewton` does", "a bare '`'"),
        ("of v_ and w", "a link 'v_'"),
        ("2 * 3", "a '*' without its other"),
        ("A long title\n------", "a line too short under 'A long title'"),
    ],
)
def test_the_faults_of_text_are_seen(text: str, said: str) -> None:
    assert faults(text) == [said]


def test_text_with_markup_has_no_fault() -> None:
    text = "A *title* of ``a|b``\n======================\n\n:class:`~QNewton`, \\|, `P <x>`_."
    assert faults(text) == []
