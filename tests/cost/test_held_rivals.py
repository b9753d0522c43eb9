"""However a matrix is held, every classical route that could solve it so is a rival."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import splu

from qnewton.cost import (
    as_held,
    cheapest,
    classical_quotes,
    filled_envelope,
    kappa_facts,
    load_classical,
    mesh_envelope,
    nominal_calibration,
    with_sparsity,
)
from qnewton.cost import given as known
from qnewton.records import Eigenbasis, Formed, LowRank, Products, Sparse

QUICK = settings(deadline=None, max_examples=80)
NOMINAL = nominal_calibration()
MACHINES = (NOMINAL, load_classical("h100"), load_classical("h100-cluster"))
DENSE = {"lu_inverse", "lu", "cholesky", "ldl"}
ANY = {"cg", "minres"}
RIVALS = {
    "formed": DENSE | ANY | {"pcg_diagonal"},
    "sparse": DENSE | ANY | {"pcg_diagonal", "sparse_cg", "sparse_lu"},
    "low-rank": DENSE | ANY | {"pcg_diagonal", "woodbury", "augmented_qr", "lsmr", "pcg_nystrom"},
    "products": DENSE | ANY,
    "eigenbasis": DENSE | ANY | {"eigenbasis"},
}


def system(kind: str, n: int, kappa: float, size: int):
    """Return facts of a system that is held in one way; ``size`` is its d, k or rows."""
    size = min(size, n)
    held = {
        "formed": Formed(),
        "sparse": Sparse(entries=n * size),
        "low-rank": LowRank(columns=size),
        "products": Products(product_flops=2.0 * n * size),
        "eigenbasis": Eigenbasis(left=size, right=-(-n // size)),
    }[kind]
    facts = kappa_facts(n, kappa, size if kind == "sparse" else n)
    spectrum = replace(facts.spectrum, preconditioned=known(math.sqrt(kappa)))
    return as_held(replace(facts, spectrum=spectrum), held)


@pytest.mark.parametrize("kind", RIVALS)
def test_every_route_that_could_solve_it_so_has_a_price(kind):
    quotes = classical_quotes(NOMINAL, system(kind, 4096, 100.0, 64), "float64")
    priced = {quote.solver for quote in quotes if quote.seconds is not None}
    assert priced == RIVALS[kind]
    assert {quote.representation for quote in quotes} == {kind}


def test_what_is_assumed_is_said_in_one_sentence_each():
    said = {kind: system(kind, 100, 4.0, 10).notes for kind in RIVALS}
    assert said["formed"] == ()
    assert said["sparse"][1] == (
        "nobody knows where the zeros lie: a sparse factor is taken to fill, N³/3"
    )
    assert "as in least squares" in said["low-rank"][1]
    assert "N form the entries" in said["products"][0]
    assert "no solve turns them" in said["eigenbasis"][0]
    assert all("\n" not in note for notes in said.values() for note in notes)


@QUICK
@given(
    st.sampled_from(sorted(RIVALS)),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.floats(1.0, 1e10),
    st.integers(1, 10**4),
    st.floats(1.0, 1e4),
    st.sampled_from(MACHINES),
)
def test_prices_are_positive_and_never_fall(kind, n, more, kappa, size, factor, machine):
    def seconds(facts, tolerance=1e-6):
        quotes = classical_quotes(machine, facts, "float64", tolerance=tolerance)
        for quote in quotes:
            assert (quote.seconds is None) == (quote.refused is not None)
            assert quote.seconds is None or 0.0 < quote.seconds < math.inf
        return {q.solver: q.seconds for q in quotes if q.seconds is not None}

    n, size = max(n, size), size
    here = seconds(system(kind, n, kappa, size))
    worse = [
        seconds(system(kind, n, kappa * factor, size)),
        seconds(system(kind, n, kappa, size), 1e-6 / factor),
    ]
    if kind != "eigenbasis":  # of which the other side shrinks
        worse += [
            seconds(system(kind, n + more, kappa, size)),
            seconds(system(kind, n, kappa, min(n, size + more))),
        ]
    for other in worse:
        for solver in here.keys() & other.keys():
            assert here[solver] <= other[solver] * (1 + 1e-12), solver


def test_a_mesh_makes_sparse_lu_a_rival_and_an_unknown_pattern_does_not():
    poisson = kappa_facts(12_544, 5174.4, 5)
    unknown = {
        q.solver: q.seconds for q in classical_quotes(NOMINAL, as_held(poisson, poisson.held))
    }
    on_mesh = Sparse(entries=5 * 12_544, envelope=mesh_envelope(12_544, 5, 2))
    known_mesh = {q.solver: q.seconds for q in classical_quotes(NOMINAL, as_held(poisson, on_mesh))}
    assert unknown["sparse_lu"] is not None
    assert known_mesh["sparse_lu"] is not None
    assert unknown["sparse_lu"] > 1000 * known_mesh["sparse_lu"]


def _grid(side: int, dimensions: int, diagonals: bool) -> Any:
    one: Any = scipy.sparse.eye_array(side)
    beside: Any = scipy.sparse.eye_array(side, k=1)
    line = one + beside + beside.T
    matrix = line
    for axis in range(1, dimensions):
        others: Any = scipy.sparse.eye_array(side**axis)
        joined = scipy.sparse.kron(matrix, one) + scipy.sparse.kron(others, line)
        matrix = scipy.sparse.kron(matrix, line) if diagonals else joined
    return scipy.sparse.csc_matrix(matrix + 30.0 * scipy.sparse.eye_array(side**dimensions))


@pytest.mark.parametrize(
    ("side", "dimensions", "diagonals"),
    [(500, 1, False), (30, 2, False), (90, 2, False), (60, 2, True), (9, 3, False), (9, 3, True)],
)
def test_factors_on_a_mesh_keep_to_the_bound(side, dimensions, diagonals):
    matrix = _grid(side, dimensions, diagonals)
    options = {"SymmetricMode": True}
    factor = splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    squares = float(np.square(np.diff(factor.L.indptr).astype(float)).sum())
    d = int(np.diff(matrix.indptr).max())
    bound = mesh_envelope(matrix.shape[0], d, dimensions)
    assert bound / 10 < squares <= bound * 1.01  # minimum degree fills up to the bound of a band
    assert bound <= filled_envelope(matrix.shape[0])


@QUICK
@given(
    st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 200), st.sampled_from([1, 2, 3])
)
def test_the_bound_on_a_mesh_never_falls(n, more, d, dimensions):
    here = mesh_envelope(n, d, dimensions)
    assert 0.0 < here <= filled_envelope(n)
    assert here <= mesh_envelope(n + more, d, dimensions)
    assert here <= mesh_envelope(n, d + 1, dimensions)
    assert dimensions == 3 or here <= mesh_envelope(n, d, 3) or d > 3


def test_another_sparsity_leaves_a_factor_a_factor():
    facts = system("low-rank", 1000, 4.0, 50)
    changed = with_sparsity(facts, 10)
    assert changed.held == facts.held
    assert changed.spectrum.row_sparsity == 10


def test_a_factor_beats_the_formed_matrix_it_stands_for():
    by_factor = cheapest(classical_quotes(NOMINAL, system("low-rank", 12_544, 1e4, 128)))
    formed = cheapest(classical_quotes(NOMINAL, kappa_facts(12_544, 1e4, 12_544)))
    assert by_factor is not None
    assert formed is not None
    assert by_factor.solver in ("woodbury", "lsmr", "augmented_qr")
    assert (by_factor.seconds or math.inf) < (formed.seconds or 0.0) / 50
