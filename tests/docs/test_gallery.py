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
    "plot_2a_hhl_circuit": _DRAWN,
    "plot_2b_qsvt_circuit": _DRAWN,
    "plot_2c_todays_noise": ("qiskit", "qiskit_aer"),
    "plot_6_lightning": ("lightning",),
    "plot_7_transformers_trainer": ("transformers", "accelerate"),
    "plot_8_accelerate": ("accelerate",),
    "plot_9_circuits_in_training": ("qiskit", "qiskit_aer"),
    "plot_b_kinetics": ("torchdiffeq",),
    "plot_b_registration": ("PIL",),
}

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "gallery").glob("plot_*.py"))

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


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


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
