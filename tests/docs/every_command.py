"""Every ``qnewton`` command that README and the pages show does what it is shown for: it runs.

Together they take minutes, so that ``make docs`` runs this file and ``make test`` does not:

    python -m pytest -n auto tests/docs/every_command.py

The commands of a page run in its order, in a folder of the page's own. What a command reads and no
command before it has written (a run, a matrix, a machine) is there as an example of its kind.
"""

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

import qnewton.cost
from qnewton.cli import main
from qnewton.workloads import WORKLOADS
from tests.docs.test_pages import PAGES, ROOT, commands

PLACEHOLDERS = {"COMMAND", "NAME", "FOLDER"}
ELSEWHERE = {
    "paper": "tests/paper makes every artifact",
    "half-digits": "the page's own code registers this workload, and runs as a test",
    "bare": "the page's own code registers this cost model, and runs as a test",
}
MINUTES = {
    *("train mnist --policy quantum-only", "compare mnist", "readout digits"),
    "calibrate --force",  # times the kernels; `calibrate` shows what is stored
}
_RUNS = {"my-run", "killed", "runs/batches", "runs/digits-20260101-120000"}


def shown() -> dict[Path, list[list[str]]]:
    """Return each page's commands, each command on the first page that shows it."""
    found: dict[Path, list[list[str]]] = {}
    known: set[tuple[str, ...]] = set()
    for page in PAGES:
        for program, *words in commands(page):
            if program == "qnewton" and tuple(words) not in known and _runs_here(words):
                known.add(tuple(words))
                found.setdefault(page, []).append(words)
    return found


def _runs_here(words: list[str]) -> bool:
    if set(words) & (PLACEHOLDERS | ELSEWHERE.keys()) or " ".join(words) in MINUTES:
        return False
    # A command's bare name is mentioned, not shown.
    return len(words) != 1 or words[0] in ("list", "calibrate") or words[0].startswith("--")


SHOWN = shown()


@pytest.fixture(scope="session")
def example_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short recorded run with a checkpoint, of which commands read."""
    folder = tmp_path_factory.mktemp("runs") / "example"
    words = "train digits --blocks tensor --policy paper --steps 6 --checkpoint-every 3 --json"
    assert main([*words.split(), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def data() -> Path | None:
    """The folder with MNIST and WikiText-2, where there is one."""
    named = os.environ.get("QNEWTON_DATA", str(ROOT.parent / "shared" / "data"))
    return Path(named).resolve() if Path(named).is_dir() else None


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_run(
    page: Path, example_run: Path, data: Path | None, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_inputs(data)
    failed = []
    for words in SHOWN[page]:
        if not _has_its_data(words, data):
            continue
        _prepare(words, example_run)
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as stop:  # --help
            code = stop.code or 0
        said = capsys.readouterr()
        if code != 0 or not said.out:
            failed.append(f"qnewton {' '.join(words)}: {code}, {said.err[-300:]}")
    assert failed == []


def test_all_commands_run_somewhere() -> None:
    assert sum(map(len, SHOWN.values())) > 60
    assert {words[0] for page in SHOWN.values() for words in page if words} >= {
        *("train", "compare", "price", "map", "replay", "report", "circuit", "calibrate", "list")
    }


def test_no_command_is_left_out_for_a_workload_that_does_not_exist() -> None:
    assert "half-digits" not in WORKLOADS.names


def _has_its_data(words: list[str], data: Path | None) -> bool:
    """Return whether data and vocabulary of a command are there: it needs a folder, or an extra."""
    if {*words} & {"bert", "mistral"} and importlib.util.find_spec("mistral_common") is None:
        return False
    return data is not None or "--data-dir" not in words


def _write_inputs(data: Path | None) -> None:
    """Write a matrix, a right-hand side and a machine, under the names that pages use."""
    generator = np.random.default_rng(0)
    matrix = generator.standard_normal((4, 4))
    matrix = matrix @ matrix.T + 4.0 * np.eye(4)
    np.save("A.npy", matrix)
    np.save("b.npy", generator.standard_normal(4))
    scipy.io.mmwrite("A.mtx", scipy.sparse.csr_array(matrix))
    profiles = Path(qnewton.cost.__file__).parent / "profiles" / "quantum"
    shutil.copy(profiles / "qubit_gate_ns_e3.toml", "my-machine.toml")
    if data is not None:
        Path("data").symlink_to(data)


def _prepare(words: list[str], example_run: Path) -> None:
    """Put an example where the command reads a run, and make way where it writes one."""
    written = words[words.index("--out") + 1] if "--out" in words else None
    if written in _RUNS:
        shutil.rmtree(written, ignore_errors=True)
    for name in {*words} & _RUNS - {written}:
        if not Path(name).exists():
            shutil.copytree(example_run, name)
