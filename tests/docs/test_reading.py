"""The reader's page is true: its files exist, and every list goes down by imports and layers."""

import ast
import re
import tomllib
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
SECTIONS = {
    title.lower(): re.findall(r"^- `(src/qnewton/[^`]+)`", text, re.MULTILINE)
    for title, text in re.findall(
        r"^## The (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
LAYERS = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")


def module_of(file: str) -> str:
    return file.removeprefix("src/").removesuffix(".py").replace("/", ".")


def layer_of(file: str) -> int:
    return LAYERS.index(".".join(module_of(file).split(".")[:2]))


def imports(file: str) -> set[str]:
    """Return the modules that a file imports from."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}


def test_the_page_follows_four_things() -> None:
    assert list(SECTIONS) == ["gradient", "condition number", "decision", "quantum machine"]


@pytest.mark.parametrize("thing", SECTIONS)
def test_a_list_names_files_that_exist_each_once(thing: str) -> None:
    files = SECTIONS[thing]
    assert len(files) >= 5
    assert len(set(files)) == len(files)
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize("thing", SECTIONS)
def test_a_list_goes_down(thing: str) -> None:
    files = SECTIONS[thing]
    assert [layer_of(file) for file in files] == sorted(map(layer_of, files))
    upwards = [
        f"{below} imports {above}"
        for above, below in combinations(files, 2)
        if module_of(above) in imports(below)
    ]
    assert upwards == []


def test_the_way_back_is_the_loop_over_quotes() -> None:
    back = re.findall(r"- `([^`]+)`[^-]*?\*\*Here is the way back\*\*", PAGE)
    assert back == ["src/qnewton/optimizer/attempts.py"]
    loops = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src" / "qnewton" / "optimizer").glob("*.py")
        if "run_solver" in path.read_text(encoding="utf-8")
    ]
    assert loops == back
