"""``qnewton circuit``: what it builds, beside the emulator, and what it refuses."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qiskit import qasm3

from qnewton.cli import main
from qnewton.solvers.quantum import Clock, emulate
from qnewton.solvers.quantum.circuits import Plan
from tests.cases import draw, geometric, with_spectrum

Answer = tuple[int, dict[str, Any], str]


@pytest.fixture
def built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run the command in this process; return its code, its JSON object and what it said beside."""
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> Answer:
        code = main(["circuit", *words.split(), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out or "{}"), said.err

    return run


def numbers(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("hhl --n 3 --clock-qubits 4 --window sine", {"clock": Clock(qubits=4, window="sine")}),
        ("qsvt --n 3 --indefinite --kappa 4", {}),
        ("qsvt --n 4 --kappa 2 --encoding sparse --epsilon 0.3", {"epsilon": 0.3}),
        ("dalzell --n 3 --kappa 2 --norm 2.5 --epsilon 0.2", {"epsilon": 0.2, "norm": 2.5}),
        ("dalzell --n 2 --kappa 2 --epsilon 0.3", {"epsilon": 0.3}),
    ],
)
def test_the_state_stands_beside_the_exact_solution_and_the_emulators(built, words, options):
    code, found, error = built(words)
    assert code == 0, error
    matrix, rhs = (numbers(found["system"][name]) for name in ("matrix", "rhs"))
    exact = torch.linalg.solve(matrix, rhs)
    assert found["state"]["exact"] == pytest.approx((exact / exact.norm()).tolist())
    alpha = found["solver"]["alpha"]
    asked = {"epsilon": 0.01, **options}
    emulated = emulate(matrix, rhs, words.split()[0], alpha=alpha, mode="eigen", **asked)
    state, other = numbers(found["state"]["circuit"]), emulated.state
    assert abs(float(state @ other)) == pytest.approx(1.0, abs=1e-10)
    chance = emulated.success_probability
    assert found["state"]["success_probability"] == pytest.approx(chance, abs=1e-8)
    assert found["emulator"]["success_probability"] == pytest.approx(chance, abs=1e-8)
    if not words.startswith("hhl"):
        assert found["circuit"]["queries"] == emulated.queries
    assert found["circuit"]["state_preparations"] == emulated.state_preparations
    assert 0.0 <= found["state"]["angle"] < 0.5
    assert sum(found["circuit"]["registers"].values()) >= found["circuit"]["qubits"]
    assert found["machine"] is found["shots"] is None


def test_evolutions_that_call_the_block_encoding(built):
    words = "hhl --n 2 --kappa 2 --clock-qubits 3 --epsilon 0.05"
    _, exact, _ = built(words)
    _, found, _ = built(f"{words} --encoding dense")
    assert exact["circuit"]["queries"] == 0
    assert found["circuit"]["queries"] == found["emulator"]["queries"]
    assert found["state"]["circuit"] == pytest.approx(exact["state"]["circuit"], abs=0.05)


def test_systems_that_are_drawn_have_the_numbers_asked_for(built):
    _, one, _ = built("qsvt --n 4 --kappa 3 --seed 5 --epsilon 0.5")
    _, same, _ = built("qsvt --n 4 --kappa 3 --seed 5 --epsilon 0.5")
    _, other, _ = built("qsvt --n 4 --kappa 3 --seed 6 --epsilon 0.5 --indefinite")
    assert one == same != other
    for found, negative in ((one, 0), (other, 2)):
        values = np.linalg.eigvalsh(np.array(found["system"]["matrix"]))
        assert np.abs(values).max() / np.abs(values).min() == pytest.approx(3.0)
        assert (values < 0).sum() == negative


@pytest.mark.parametrize("suffix", ["npy", "mtx"])
def test_a_system_from_files(built, suffix, tmp_path):
    import scipy.io

    matrix = with_spectrum(geometric(3, 2.0, indefinite=True, seed=2), 2).numpy()
    rhs = draw(3).numpy()
    if suffix == "npy":
        np.save(tmp_path / "A.npy", matrix)
        np.save(tmp_path / "b.npy", rhs)
    else:
        scipy.io.mmwrite(tmp_path / "A.mtx", matrix, symmetry="general")
        scipy.io.mmwrite(tmp_path / "b.mtx", rhs[:, None], symmetry="general")
    code, found, error = built(f"qsvt --matrix A.{suffix} --rhs b.{suffix} --epsilon 0.1")
    assert code == 0, error
    assert found["system"]["matrix"] == pytest.approx(matrix)
    assert found["system"]["rhs"] == pytest.approx(rhs)
    _, alone, _ = built(f"qsvt --matrix A.{suffix} --epsilon 0.1 --seed 3")
    assert alone["system"]["rhs"] == pytest.approx(draw(3, seed=3).tolist())


def test_amplification(built):
    _, single, _ = built("qsvt --n 2 --kappa 8 --epsilon 0.1")
    _, more, _ = built("qsvt --n 2 --kappa 8 --epsilon 0.1 --rounds 1")
    angle = np.arcsin(np.sqrt(single["state"]["success_probability"]))
    assert more["state"]["success_probability"] == pytest.approx(np.sin(3 * angle) ** 2)
    assert more["circuit"]["queries"] == 3 * single["circuit"]["queries"]
    assert more["state"]["circuit"] == pytest.approx(single["state"]["circuit"])


def test_files_of_a_circuit(built, tmp_path):
    code, found, error = built("hhl --n 2 --clock-qubits 3 --draw c.txt --qasm c.qasm --shots 9000")
    assert code == 0, error
    assert found["files"] == ["c.txt", "c.qasm"]
    assert "clock_0" in (tmp_path / "c.txt").read_text(encoding="utf-8")
    loaded = qasm3.loads((tmp_path / "c.qasm").read_text(encoding="utf-8"))
    assert loaded.num_qubits == found["circuit"]["qubits"]
    shots = found["shots"]
    assert sum(shots["counts"]) == shots["successes"]
    assert shots["successes"] / shots["attempts"] == pytest.approx(
        found["state"]["success_probability"], abs=0.03
    )
    state = np.array(found["state"]["circuit"])
    assert abs(np.array(shots["vector"]) @ state) == pytest.approx(1.0, abs=0.01)


@pytest.mark.slow
def test_a_machine_takes_more_gates_and_leaves_less(built):
    words = "qsvt --n 2 --kappa 2 --epsilon 0.3 --shots 2000 --backend fake_manila"
    code, found, error = built(words)
    assert code == 0, error
    machine = found["machine"]
    assert machine["backend"] == "fake_manila"
    assert machine["larger_gates"] == 0
    assert machine["depth"] > found["circuit"]["depth"]
    chance = found["state"]["success_probability"]
    assert found["shots"]["successes"] / 1000 < chance - 0.02
    assert built(words)[1] == found


def test_a_person_sees_tables(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "qsvt --n 2 --kappa 2 --epsilon 0.3 --rounds 1 --shots 100 --draw c.txt"
    assert main(["circuit", *words.split()]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "qsvt for a random positive definite system of 2 unknowns, seed 0: N = 2, κ = 2",
        "rounds of amplification: 1",
        "calls of U_A",
        "The state on success, of unit length",
        "to the exact solution",
        "100 shots",
        "written: c.txt",
    ):
        assert part in said


def test_a_promise_that_is_broken_is_said(built):
    code, found, error = built("qsvt --n 2 --kappa 8 --kappa-be 2 --epsilon 0.1")
    assert code == 0
    assert found["solver"]["promise_held"] is False
    assert "κ_be = 2 is less than this matrix needs" in " ".join(error.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("dalzell --n 6 --kappa 3 --encoding low_rank", "minute that an exact simulation may"),
        ("hhl", "no system is given; give --n N, --matrix FILE, or --run FOLDER --step K"),
        ("hhl --n 4 --matrix A.npy", "--n and --matrix exclude each other"),
        ("hhl --n 300", "--n 300 has 300 unknowns, and a circuit is built for 256 at most"),
        ("hhl --n 4 --norm 2", "--norm is for dalzell, not for hhl"),
        ("hhl --n 4 --encoding sparse", "need an encoding that is its own inverse"),
        ("qsvt --n 4 --window sine", "--window is for hhl, not for qsvt"),
        ("qsvt --n 4 --kappa 1e6", "above the limit of 1,000,000"),
        ("qsvt --n 4 --kappa 1e4", "above a circuit's limit of 20,000"),
        ("hhl --n 4 --clock-qubits 20", "--clock-qubits is 20; a circuit has 12 at most"),
        ("qsvt --n 4 --backend ibm_x", "backend 'ibm_x' is not known"),
        ("dalzell --n 8 --backend fake_manila", "needs 12 qubits and fake_manila has 5"),
        ("qsvt --n 16 --shots 9 --backend fake_manila", "needs 7 qubits and fake_manila has 5"),
        ("qsvt --n 4 --draw a.pdf", "its name must end in .png, .svg, .txt"),
        ("qsvt --n 4 --qasm no/a.qasm", "there is no folder no"),
        ("qsvt --n 4 --shots 1", "--shots is 1"),
        ("qsvt --n 4 --epsilon 2", "--epsilon is 2.0"),
        ("qsvt --n 4 --rounds -1", "--rounds"),
        ("qsvt --n 4 --rhs b.npy", "--rhs goes with --matrix alone, not with --n"),
        ("qsvt --n 1 --indefinite", "--indefinite needs two unknowns"),
        ("qsvt --matrix none.npy", "there is no such file"),
        ("qsvt --run none --step 1", "none does not exist: not a run folder"),
        ("qsvt --run none", "--step is missing"),
        ("grover --n 4", "ALGORITHM is 'grover'; choose hhl, qsvt, dalzell"),
        ("qvst --n 4", "ALGORITHM is 'qvst'; did you mean qsvt? It can be hhl, qsvt, dalzell"),
        ("qsvt --n 4 --draw no/a.png", "--draw is no/a.png; there is no folder no"),
    ],
)
def test_a_wrong_request_is_one_line_before_anything_is_built(built, words, says, monkeypatch):
    def attempts(_: Plan) -> None:
        raise AssertionError("a circuit was built")

    monkeypatch.setattr(Plan, "attempts", attempts)
    code, found, error = built(words)
    assert (code, found) == (2, {})
    assert error.startswith("qnewton: ")
    assert error.count("\n") == 1
    assert says in error


@pytest.mark.parametrize(
    ("rhs", "says"),
    [
        (np.zeros(2), "its shape is (2,); the matrix needs [3]"),
        (np.ones(3) * 1j, "its dtype is complex128; it must be real"),
        (np.zeros(3), "the right-hand side is zero"),
        (None, "there is no such file"),
    ],
)
def test_a_wrong_right_hand_side_is_one_line(built, rhs, says, tmp_path):
    np.save(tmp_path / "A.npy", np.eye(3))
    if rhs is not None:
        np.save(tmp_path / "b.npy", rhs)
    code, _, error = built("qsvt --matrix A.npy --rhs b.npy")
    assert (code, error.count("\n")) == (2, 1)
    assert says in error


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_the_system_that_a_step_of_a_run_solved(built, tmp_path, capsys):
    train = ["train", "digits", "--blocks", "tensor", "--steps", "3", "--out", "run", "--json"]
    assert main(train) == 0
    capsys.readouterr()
    before = contents(tmp_path / "run")
    code, found, error = built("hhl --run run --step 1 --block 4.bias --clock-qubits 6")
    assert code == 0, error
    assert contents(tmp_path / "run") == before
    assert found["system"]["n"] == 10
    assert found["system"]["source"] == "step 1 of run, block 4.bias, λ = 1"
    _, other, _ = built("hhl --run run --step 2 --block 4.bias --clock-qubits 6")
    assert other["system"]["rhs"] != found["system"]["rhs"]
    code, _, error = built("qsvt --run run --step 2 --block 0.weight")
    assert code == 2
    assert "block 0.weight has 1,024 unknowns, above a circuit's limit of 256" in error


WITHOUT_QISKIT = (
    "import sys; sys.modules['qiskit'] = None; from qnewton.cli import main; "
    "sys.exit(main(sys.argv[1:]))"
)


def without_the_extra(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_QISKIT, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_works_without_the_extra():
    assert "--clock-qubits" in without_the_extra("circuit", "--help").stdout


@pytest.mark.slow
def test_a_missing_extra_is_one_line():
    refused = without_the_extra("circuit", "hhl", "--n", "2")
    assert refused.returncode == 2
    assert refused.stderr == "qnewton: circuits need qiskit; pip install 'qnewton[quantum]'\n"
