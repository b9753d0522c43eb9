"""``price --matrix`` and ``replay`` from the outside."""

import json

import numpy as np
import pytest
import scipy.io
import scipy.sparse


@pytest.fixture
def matrix():
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((40, 40))
    return factor @ factor.T / 40 + np.eye(40)


@pytest.mark.parametrize("ending", ["npy", "mtx"])
def test_a_matrix_is_surveyed_priced_and_emulated(qnewton, tmp_path, matrix, ending):
    path = tmp_path / f"A.{ending}"
    if ending == "npy":
        np.save(path, matrix)
    else:
        scipy.io.mmwrite(path, scipy.sparse.coo_array(matrix), precision=17)
    code, output, error = qnewton("price", "--matrix", str(path), "--json")
    assert code == 0, error
    found = json.loads(output)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert found["facts"]["condition"]["value"] == pytest.approx(
        eigenvalues[-1] / eigenvalues[0], rel=1e-6
    )
    assert found["emulated"]["refused"] is None
    assert found["emulated"]["figures"]["relative_residual"] < 0.1
    assert any(quote["seconds"] for quote in found["audited"])
    assert found["break_even"]["flips"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.arange(6.0).reshape(2, 3), "must be square"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "not symmetric"),
        (np.array([[1.0, np.nan], [np.nan, 4.0]]), "not finite"),
    ],
)
def test_a_matrix_that_is_no_system_is_one_line(qnewton, tmp_path, content, said):
    np.save(tmp_path / "A.npy", content)
    code, output, error = qnewton("price", "--matrix", "A.npy")
    assert (code, output) == (2, "")
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_a_run_is_replayed_without_training(qnewton):
    trained = ("train", "digits", "--steps", "2", "--policy", "paper", "--out", "run", "--json")
    code, _, error = qnewton(*trained)
    assert code == 0, error
    code, output, error = qnewton("replay", "run", "--json")
    assert code == 0, error
    found = json.loads(output)
    rows = {row["policy"]: row for row in found["rows"]}
    assert found["steps"] == 2
    assert found["hypothetical"]
    assert rows["paper"]["changed_decisions"] == 0
    assert set(rows["classical-only"]["decisions"]) == {"lu_inverse"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", "nowhere"), "not a run folder"),
        (("price", "--n", "4", "--kappa", "2", "--readout-tolerance", "0"), "readout_tolerance is"),
        (("price", "--n", "4", "--kappa", "2", "--state-error", "0.5"), "epsilon is 0.5"),
        (("price", "--matrix", "A.npy", "--n", "4"), "leave those out"),
        (("price", "--matrix", "missing.npy"), "no such file"),
    ],
)
def test_a_wrong_request_is_one_line(qnewton, words, said):
    code, output, error = qnewton(*words)
    assert (code, output) == (2, "")
    assert said in error
    assert len(error.strip().splitlines()) == 1
