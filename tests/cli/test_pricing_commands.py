"""``price --matrix`` and ``replay`` from the outside."""

import json
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from tests.cases import geometric, with_spectrum

# Each command is a process of its own, which loads torch.
pytestmark = pytest.mark.slow


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
    assert found["facts"]["spectrum"]["condition"]["value"] == pytest.approx(
        eigenvalues[-1] / eigenvalues[0], rel=1e-6
    )
    assert found["emulated"]["refused"] is None
    assert found["emulated"]["figures"]["relative_residual"] < 0.1
    assert any(quote["seconds"] for quote in found["audited"])
    assert found["break_even"]["flips"]


def _poisson(side: int) -> Any:
    line = scipy.sparse.coo_array(2 * np.eye(side) - np.eye(side, k=1) - np.eye(side, k=-1))
    one = scipy.sparse.eye_array(side)
    return scipy.sparse.kron(one, line) + scipy.sparse.kron(line, one)


@pytest.mark.parametrize("ending", ["npy", "mtx"])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_sparse_file_is_held_by_its_entries_and_has_sparse_rivals(
    qnewton, tmp_path, ending, shift
):
    matrix = _poisson(20) - shift * scipy.sparse.eye_array(400)
    path = tmp_path / f"A.{ending}"
    if ending == "npy":
        np.save(path, matrix.toarray())
    else:
        scipy.io.mmwrite(path, scipy.sparse.coo_array(matrix))
    code, output, error = qnewton("price", "--matrix", str(path), "--json", "--dtype", "float64")
    assert code == 0, error
    found = json.loads(output)
    held, facts = found["facts"]["held"], found["facts"]["spectrum"]
    assert held["kind"] == "sparse"
    assert held["entries"] == matrix.nnz == scipy.sparse.csr_array(matrix).nnz
    assert facts["row_sparsity"] == 5
    sizes = abs(np.linalg.eigvalsh(matrix.toarray()))
    assert facts["condition"]["value"] == pytest.approx(sizes.max() / sizes.min(), rel=0.02)
    assert facts["frobenius"] == pytest.approx(np.linalg.norm(matrix.toarray()))
    assert facts["max_abs"] == abs(matrix).max()
    assert facts["definiteness"] == ("positive" if shift == 0.0 else "indefinite")
    own = [q for q in found["quotes"] if q["hardware"] == found["calibration"]]
    seconds = {q["solver"]: q["seconds"] for q in own if q["solver"] != "lu_inverse"}
    assert seconds["sparse_lu"] is not None  # its fill is known
    assert (seconds["sparse_cg"] is not None) == (shift == 0.0)
    rivals = ("sparse_cg", "minres", "sparse_lu")
    assert min(seconds[name] for name in rivals if seconds[name]) == min(
        value for value in seconds.values() if value
    )
    assert found["emulated"]["refused"] is None


def test_a_sparse_file_too_large_to_write_out_never_is(qnewton, tmp_path):
    """80,000 unknowns would be 51 GB of entries; κ of a strongly damped one is soon known."""
    matrix = scipy.sparse.kron(scipy.sparse.eye_array(200), _poisson(20))
    matrix = scipy.sparse.coo_array(matrix + 4.0 * scipy.sparse.eye_array(80_000))
    scipy.io.mmwrite(tmp_path / "A.mtx", matrix)
    words = ("price", "--matrix", "A.mtx", "--json", "--dtype", "float64")
    code, output, error = qnewton(*words)
    assert code == 0, error
    found = json.loads(output)
    assert found["facts"]["spectrum"]["condition"]["value"] == pytest.approx(12 / 4, rel=0.02)
    assert found["facts"]["spectrum"]["bounds"][0]["method"] == "determinant"
    own = [q for q in found["quotes"] if q["hardware"] == found["calibration"]]
    seconds = {q["solver"]: q["seconds"] for q in own if q["solver"] != "lu_inverse"}
    assert 0 < seconds["sparse_cg"] < 0.1
    assert "above 4,096" in found["emulated"]["refused"]
    _, output, _ = qnewton(*(word for word in words if word != "--json"))
    assert output.startswith("Classical: CG on ")
    assert "The classical solver wins" in output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.arange(6.0).reshape(2, 3), "must be square"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "not symmetric"),
        (np.array([[1.0, np.nan], [np.nan, 4.0]]), "not finite"),
        (np.zeros((5, 5)), "all its entries are zero"),
        (np.eye(5) * 1j, "must be real"),
    ],
)
@pytest.mark.parametrize("ending", ["npy", "mtx"])
def test_a_matrix_that_is_no_system_is_one_line(qnewton, tmp_path, content, said, ending):
    if ending == "npy":
        np.save(tmp_path / "A.npy", content)
    else:
        scipy.io.mmwrite(tmp_path / "A.mtx", scipy.sparse.coo_array(content), symmetry="general")
    code, output, error = qnewton("price", "--matrix", f"A.{ending}")
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
    labels = {name: row["quantum_price"] for name, row in rows.items()}
    assert labels == {
        "classical": None,
        "classical-only": None,
        "hybrid": "audited",
        "paper": "paper's",
        "quantum-only": "paper's",
    }
    assert set(rows["quantum-only"]["decisions"]) == {"jennings"}
    _, output, _ = qnewton("replay", "run")
    assert "quantum price" in output
    assert "Rows with different ones do not compare" in " ".join(output.split())
    assert set(rows["classical-only"]["decisions"]) == {"lu_inverse"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", "nowhere"), "not a run folder"),
        (("price", "--n", "4", "--kappa", "2", "--error", "0"), "--error is 0"),
        (("map", "--n", "4", "--kappa", "2", "--physical-error", "2"), "--physical-error is 2"),
        (("price", "--n", "1.5", "--kappa", "2"), "--n is '1.5'; it must be a whole number"),
        (("price", "--n", "4", "--kappa", "2", "--rivals", "abacus"), "no classical profile"),
        (("map", "--n", "4", "--kappa", "2", "--x", "luck"), "--x is 'luck'"),
        (("map", "--n", "4", "--kappa", "2", "--x", "n", "--y", "n"), "both 'n'"),
        (("map", "--n", "4", "--kappa", "2", "--x-range", "3"), "LOW:HIGH"),
        (("map", "--n", "4", "--kappa", "2", "--x-range", "9:3"), "--x-range is"),
        (("map", "--n", "4", "--kappa", "2", "--points", "1"), "--points is 1"),
        (("price", "--matrix", "A.npy", "--n", "4"), "leave those out"),
        (("price", "--matrix", "A.npy", "--indefinite"), "leave those out"),
        (("price", "--matrix", "A.npy", "--kappa", "0.5"), "--kappa is 0.5"),
        (("price", "--matrix", "A.npy", "--max-products", "0"), "--max-products is 0"),
        (("price", "--matrix", "A.npy", "--kappa", "2", "--max-products", "9"), "drop one"),
        (("price", "--n", "4", "--kappa", "2", "--max-products", "9"), "leave it out"),
        (("price", "--matrix", "missing.npy"), "no such file"),
    ],
)
def test_a_wrong_request_is_one_line(qnewton, words, said):
    code, output, error = qnewton(*words)
    assert (code, output) == (2, "")
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_the_survey_is_priced_and_a_split_where_it_helps(qnewton):
    np.save("A.npy", with_spectrum([3e3, 1e3, *np.linspace(1.0, 2.0, 58)]).numpy())
    command = ("price", "--matrix", "A.npy", "--hardware", "qubit_gate_ns_e4")
    code, output, error = qnewton(*command, "--json")
    assert code == 0, error
    found = json.loads(output)
    assert found["survey_s"] > 0
    whole = min(q["seconds"] for q in found["audited"] if q["seconds"] is not None)
    split = found["deflated"]
    # κ falls from 3,000 to about 2, and the count of queries with it.
    assert split["seconds"] < whole / 100
    assert split["terms"][-1]["name"] == "deflation"
    assert sum(term["seconds"] for term in split["terms"]) == pytest.approx(split["seconds"])
    assert found["emulated"]["figures"]["alpha"] == pytest.approx(3e3, rel=1e-6)
    _, output, _ = qnewton(*command, "--verbose")
    assert "Hybrid split: the" in output
    # All eigenvalues were computed, which a machine that measures by products would not.
    assert "Measuring κ and d takes at most" in output


def test_a_given_condition_number_is_charged_the_most_a_survey_may_take(qnewton):
    code, output, error = qnewton("price", "--n", "500", "--kappa", "30", "--json")
    assert code == 0, error
    assert json.loads(output)["survey_s"] > 0


def _dense(n: int, kappa: float) -> np.ndarray:
    return with_spectrum(geometric(n, kappa)).numpy()


def _found(qnewton, *words: str) -> dict[str, Any]:
    code, output, error = qnewton("price", "--matrix", "A.npy", "--json", *words)
    assert code == 0, error
    return json.loads(output)


def test_an_ordinary_dense_matrix_has_its_condition_number_and_prices(qnewton):
    np.save("A.npy", _dense(520, 1e3))
    found = _found(qnewton)
    assert found["facts"]["spectrum"]["condition"]["value"] == pytest.approx(1e3, rel=0.01)
    assert any(quote["seconds"] for quote in found["audited"])
    assert found["emulated"]["figures"]["kappa_be"] == pytest.approx(1e3, rel=0.01)
    assert found["emulated"]["figures"]["promise_held"]


def test_a_given_condition_number_prices_the_matrix_without_measuring_it(qnewton):
    np.save("A.npy", _dense(300, 50.0))
    found, measured = _found(qnewton, "--kappa", "500"), _found(qnewton)
    condition = found["facts"]["spectrum"]["condition"]
    assert (condition["value"], condition["method"], condition["products"]) == (500.0, "given", 0)
    assert found["facts"]["spectrum"]["norm"] == pytest.approx(1.0)
    assert found["emulated"]["figures"]["kappa_be"] == 500.0

    def cheapest(one):
        return min(quote["seconds"] for quote in one["audited"] if quote["seconds"])

    assert cheapest(found) > 5 * cheapest(measured)


def test_a_budget_too_small_leaves_the_eigenvalues_that_the_emulation_computes(qnewton):
    np.save("A.npy", _dense(300, 1e4))
    found = _found(qnewton, "--max-products", "20")
    condition = found["facts"]["spectrum"]["condition"]
    assert condition["value"] == pytest.approx(1e4, rel=1e-6)
    assert (condition["method"], condition["products"]) == ("exact", 20)
    assert any(quote["seconds"] for quote in found["audited"])


def test_where_nothing_tells_the_condition_number_the_way_out_is_said(qnewton):
    scipy.io.mmwrite("A.mtx", scipy.sparse.diags_array(np.geomspace(1e-4, 1.0, 5_000)).tocoo())
    code, _, error = qnewton("price", "--matrix", "A.mtx", "--max-products", "20", "--json")
    assert code == 0
    assert "give --kappa, or a larger --max-products" in " ".join(error.split())


def test_cholesky_is_no_rival_of_a_matrix_that_is_singular_or_not_definite(qnewton):
    np.save("A.npy", np.ones((50, 50)))
    code, output, error = qnewton("price", "--matrix", "A.npy")
    assert code == 0, error
    assert "singular to rounding" in error
    assert "products" not in error
    assert "κ = at least" in output
    assert "singular to rounding" in output
    assert "Cholesky on" not in output
    assert "Cholesky: A is singular to rounding" in " ".join(output.split())
    np.save("A.npy", with_spectrum([-1.0, *np.linspace(1.0, 10.0, 49)]).numpy())
    found = _found(qnewton, "--kappa", "10")
    assert found["facts"]["spectrum"]["definiteness"] == "indefinite"
    np.save("A.npy", with_spectrum([1.0, *np.linspace(1.0, 10.0, 49)]).numpy())
    assert _found(qnewton, "--kappa", "10")["facts"]["spectrum"]["definiteness"] == "positive"


@pytest.mark.parametrize(("machine", "told"), [("attosecond", True), ("qubit_gate_ns_e4", False)])
def test_a_machine_that_only_perfect_gates_can_price_says_so(qnewton, machine, told):
    words = ("price", "--n", "64", "--kappa", "10", "--hardware", machine)
    code, output, error = qnewton(*words, "--error-correction", "perfect")
    assert code == 0, error
    said = " ".join(output.split())
    assert (f"{machine} has a price only since its gates are taken as perfect." in said) == told
