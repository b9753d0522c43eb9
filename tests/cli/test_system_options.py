"""``qnewton price`` turns loose numbers into a system that is held in one way."""

import json
import subprocess
import sys

import numpy as np
import pytest

from qnewton.cli.main import COMMANDS, parse
from qnewton.cli.price import Price
from qnewton.cost import mesh_envelope
from qnewton.records import Eigenbasis, Facts, Formed, LowRank, Products, Sparse

NUMBERS = ("price", "--n", "100", "--kappa", "9")


def surveyed(*words: str) -> Facts:
    command = parse(COMMANDS, [*NUMBERS, *words])
    assert isinstance(command, Price)
    matrix, facts = command.system.surveyed()
    assert matrix is None
    assert facts.n == 100
    assert facts.spectrum.condition is not None
    assert facts.spectrum.condition.value == 9.0
    return facts


def test_each_option_says_how_the_matrix_is_held() -> None:
    assert surveyed().held == Formed()
    assert surveyed("--sparsity", "30").held == Formed()  # above a quarter of N² entries
    on_mesh = mesh_envelope(100, 5, 2)
    assert surveyed("--sparsity", "5", "--mesh", "2").held == Sparse(entries=500, envelope=on_mesh)
    factor = surveyed("--columns", "7")
    assert isinstance(factor.held, LowRank)
    assert (factor.held.columns, factor.semidefinite, factor.rank) == (7, True, 7)
    assert factor.spectrum.effective_dimension == 7.0
    products = surveyed("--product-flops", "3e4", "--effective-dimension", "2.5").held
    assert isinstance(products, Products)
    assert products.forming is not None
    assert products.forming.flops == 3e6
    assert surveyed("--kronecker", "20", "5").held == Eigenbasis(left=20, right=5)


def test_what_stands_behind_the_diagonal_is_given() -> None:
    facts = surveyed("--preconditioned-kappa", "3")
    assert facts.spectrum.preconditioned is not None
    assert facts.spectrum.preconditioned.describe() == "3 (given)"
    assert surveyed().spectrum.preconditioned is None


def test_rivals_are_asked_for_what_training_needs_or_the_quantum_solver_reaches() -> None:
    for words, needed in (((), 0.11), (("--accuracy", "0.03"), 0.03)):
        command = parse(COMMANDS, [*NUMBERS, *words])
        assert isinstance(command, Price)
        assert command.system.surveyed(0.11)[1].direction_error == needed
    assert surveyed().direction_error is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sparsity", "5", "--columns", "7"), "choose --sparsity or --columns"),
        (("--mesh", "2"), "--mesh goes with --sparsity"),
        (("--columns", "0"), "--columns is 0"),
        (("--columns", "7", "--indefinite"), "drop --indefinite"),
        (("--effective-dimension", "101"), "must lie between 0 and n = 100"),
        (("--product-flops", "0"), "--product-flops is 0.0; it must be above 0"),
        (("--kronecker", "20", "6"), "--kronecker is 20 6; --n is not 100 then"),
        (("--accuracy", "1"), "--accuracy is 1.0; it must lie between 0 and 1"),
        (("--preconditioned-kappa", "0.5"), "--preconditioned-kappa is 0.5"),
        (("--preconditioned-kappa", "inf"), "must be finite and at least 1"),
    ],
)
def test_what_does_not_go_together_is_one_line(words: tuple[str, ...], said: str) -> None:
    with pytest.raises((ValueError, SystemExit)) as raised:
        surveyed(*words)
    assert said in str(raised.value)


@pytest.mark.slow
def test_a_file_is_measured_behind_its_diagonal_and_preconditioned_cg_is_priced(tmp_path) -> None:
    rng = np.random.default_rng(0)
    scale = np.geomspace(1.0, 1e3, 60)
    core = rng.standard_normal((60, 60))
    matrix = (core @ core.T / 60 + np.eye(60)) * scale * scale[:, None]
    np.save(tmp_path / "A.npy", matrix)
    code = (
        "import sys; from qnewton.cli.main import main; "
        "main(['price', '--matrix', sys.argv[1], '--hardware', 'attosecond', '--json'])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "A.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    root = np.sqrt(matrix.diagonal())
    eigenvalues = np.linalg.eigvalsh(matrix / root / root[:, None])
    behind = found["facts"]["spectrum"]["preconditioned"]["value"]
    assert behind == pytest.approx(eigenvalues[-1] / eigenvalues[0], rel=1e-6)
    priced = {q["solver"]: q for q in found["quotes"] if q["machine"] == "classical"}
    assert priced["pcg_diagonal"]["products"] < priced["cg"]["products"] / 10
