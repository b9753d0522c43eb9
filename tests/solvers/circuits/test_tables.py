"""Block-encodings of Clifford and Toffoli gates: the block of each, and what its parts take."""

import math

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from qnewton.cost.encodings import (
    DenseEncoding,
    EigenbasisEncoding,
    Encoding,
    LowRankEncoding,
    SparseEncoding,
)
from qnewton.solvers.quantum.circuits.tables import (
    TableEncoding,
    dense_by_tables,
    eigenbasis_by_tables,
    kronecker_product,
    low_rank_by_tables,
    sparse,
    sparse_by_tables,
    tabled_state,
)
from qnewton.solvers.quantum.circuits.tables.arithmetic import (
    append_not_less,
    append_phase_at_zero,
    append_sign_at_zero,
)
from qnewton.solvers.quantum.circuits.tables.lookup import (
    Word,
    append_erasure,
    append_lookup,
    loaded,
)
from qnewton.solvers.quantum.circuits.tables.wires import Wires

Array = NDArray[np.float64]
EXACT = 1e-10


def _distance(found: ArrayLike, matrix: ArrayLike) -> float:
    return float(np.abs(np.subtract(found, matrix)).max())


def _within_promise(encoding: Encoding, bits: int, encoded: Array, matrix: Array, alpha: float):
    error = float(np.linalg.norm(encoded - matrix, 2))
    assert error <= alpha * 2.0 ** (encoding.extra_bits - bits) + 1e-12


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("low", [0, 1, 2])
@pytest.mark.parametrize("bit", [0, 1])
def test_a_word_is_loaded_and_erased_at_every_address(count, low, bit):
    """A sign where a bit of the word is 1, between load and erasure, shows that bit."""
    words: list[Word] = [int(w) for w in np.random.default_rng(count).integers(0, 4, count)]
    words += [None] * (8 - count)
    wires = Wires()
    address, k = wires.fresh(3), 1 << low
    registers = [wires.fresh(2) for _ in range(k)]
    append_lookup(wires, address, registers, words)
    wires.circuit.z(registers[0][bit])
    occurs = [word is not None for word in words]
    append_erasure(wires, address, registers, loaded(words, k), occurs)
    found = TableEncoding(wires.circuit, address, [], [], 1.0)
    signs = [(-1.0) ** ((word or 0) >> bit & 1) for word in words[:count]]
    for seed in range(3):
        assert _distance(found.block(count, seed), np.diag(signs)) < EXACT


@pytest.mark.parametrize(("address_bits", "low", "bits"), [(3, 0, 5), (4, 1, 3), (5, 2, 4)])
def test_a_full_table_takes_the_toffoli_gates_of_its_formula(address_bits, low, bits):
    """Two, and four, less than ⌈L/k⌉ + b(k-1) and ⌈L/k⌉ + k, which the price has."""
    words: list[Word] = [7] * (1 << address_bits)
    length, k = len(words), 1 << low
    wires = Wires()
    address = wires.fresh(address_bits)
    registers = [wires.fresh(bits) for _ in range(k)]
    append_lookup(wires, address, registers, words)
    read = TableEncoding(wires.circuit, address, [], [], 1.0).toffoli
    assert read == length // k - 2 + bits * (k - 1)
    append_erasure(wires, address, registers, loaded(words, k), [True] * length)
    both = TableEncoding(wires.circuit, address, [], [], 1.0).toffoli
    erased = min(length // 2**s + 2**s for s in range(address_bits + 1)) - 4
    assert both - read == erased


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_a_comparison_with_equal_superposition_makes_an_odd_multiple(bits):
    wires = Wires()
    magnitude, number = wires.fresh(bits - 1), wires.fresh(bits)
    flag = wires.fresh(1)[0]
    wires.circuit.h(number)
    append_not_less(wires, number, magnitude, flag)
    wires.circuit.h(number)
    found = TableEncoding(wires.circuit, magnitude, [*number, flag], [], 1.0)
    count = 1 << (bits - 1)
    amplitudes = (2 * np.arange(count) + 1) * 2.0**-bits
    assert _distance(found.block(count, seed=0), np.diag(amplitudes)) < EXACT
    assert found.toffoli == bits - 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_sign_and_a_phase_where_all_qubits_are_zero(count):
    """A phase of π is a sign; a ladder of ANDs takes n - 1 Toffoli gates, the sign one less."""
    signs = np.diag([-1.0, *[1.0] * (2**count - 1)])
    wires = Wires()
    qubits = wires.fresh(count)
    append_sign_at_zero(wires, qubits)
    found = TableEncoding(wires.circuit, qubits, [], [], 1.0)
    assert _distance(found.block(2**count, seed=0), signs) < EXACT
    assert found.toffoli == max(0, count - 2)
    wires = Wires()
    qubits = wires.fresh(count)
    append_phase_at_zero(wires, qubits, math.pi)
    found = TableEncoding(wires.circuit, qubits, [], [], 1.0)
    assert _distance(found.block(2**count, seed=0), signs) < EXACT
    assert (found.toffoli, found.rotations) == (count - 1, 1)


def test_a_state_from_tables_is_within_a_turn_of_half_a_bit_per_level():
    vector = np.random.default_rng(1).standard_normal(8)
    vector /= np.linalg.norm(vector)
    found = tabled_state(vector, bits=4)
    state = found.block(8, seed=0)[:, 0]
    assert np.linalg.norm(state) == pytest.approx(1.0, abs=1e-9)
    assert np.linalg.norm(state - vector) <= 3 * math.pi * 2.0**-4


def _odd_multiples(n: int, bits: int, seed: int) -> Array:
    """A matrix of two entries a row, odd multiples of 2^-b."""
    rng = np.random.default_rng(seed)
    matrix = np.zeros((n, n))
    for i in range(0, n, 2):
        a, b, c = (2 * rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 3) + 1) * 2.0**-bits
        matrix[i : i + 2, i : i + 2] = [[a, b], [b, c]]
    return matrix


@pytest.mark.parametrize("seed", [0, 1])
def test_sparse_access_by_one_table_encodes_a_whatever_is_measured(seed):
    matrix = _odd_multiples(4, 3, seed)
    found = sparse_by_tables(matrix, alpha=2.0, bits=3)
    assert found.rotations == 0
    assert _distance(2.0 * found.block(4, seed), matrix) < EXACT


def test_a_word_that_was_swapped_to_the_front_is_erased_with_the_rest(monkeypatch):
    monkeypatch.setattr(sparse, "swap_bits", lambda words, bits: 1)
    matrix = _odd_multiples(2, 2, 3)
    found = sparse_by_tables(matrix, alpha=2.0, bits=2)
    assert found.circuit.count_ops()["cswap"] > 0
    assert _distance(2.0 * found.block(2, seed=5), matrix) < EXACT


@pytest.mark.slow
def test_rows_of_unequal_length_and_any_entries_keep_the_promise():
    matrix = np.array([[0.9, 0.3, 0, -0.7], [0.3, 0, 0, 0], [0, 0, 0.2, 0], [-0.7, 0, 0, 0.1]])
    found = sparse_by_tables(matrix, alpha=2.7, bits=3)
    encoded = 2.7 * found.block(4, seed=0)
    _within_promise(SparseEncoding(n=4, sparsity=3, alpha=1.0), 3, encoded, matrix, 2.7)


def test_rows_from_tables_encode_a_dense_matrix():
    matrix = np.array([[1.0, 0.3, -0.2], [0.3, 0.5, 0.9], [-0.2, 0.9, -1.0]])
    found, rounded = dense_by_tables(matrix, bits=4)
    assert _distance(found.alpha * found.block(3, seed=0), rounded) < EXACT
    assert found.alpha == pytest.approx(np.linalg.norm(matrix))
    _within_promise(DenseEncoding(n=3, alpha=1.0), 4, rounded, matrix, found.alpha)


def test_columns_from_tables_encode_a_factor_and_its_damping():
    factor = np.random.default_rng(0).standard_normal((4, 2))
    found, rounded = low_rank_by_tables(factor, shift=0.7, bits=4)
    assert _distance(found.alpha * found.block(4, seed=0), rounded) < EXACT
    assert found.alpha == pytest.approx(np.square(factor).sum() + 0.7)
    matrix = factor @ factor.T + 0.7 * np.eye(4)
    _within_promise(LowRankEncoding(n=4, columns=2, alpha=1.0), 4, rounded, matrix, found.alpha)


def test_reflections_and_a_table_encode_known_eigenvectors():
    rng = np.random.default_rng(2)
    left, right = (np.linalg.qr(rng.standard_normal((2, 2)))[0] for _ in range(2))
    values = rng.standard_normal((2, 2))
    found, rounded = eigenbasis_by_tables(values, left, right, bits=3)
    assert _distance(found.block(4, seed=0) * found.alpha, rounded) < EXACT
    basis = np.kron(left, right)
    exact = (basis * values.ravel()) @ basis.T
    _within_promise(EigenbasisEncoding(n=4, orders=(2, 2)), 3, rounded, exact, found.alpha)


def test_a_kronecker_product_is_encoded_by_both_factors():
    first, second = _odd_multiples(2, 2, 0), np.diag([0.75, -0.25])
    left, right = sparse_by_tables(first, 2.0, 2), sparse_by_tables(second, 1.0, 2)
    found = kronecker_product(left, right)
    assert _distance(found.alpha * found.block(4, seed=0), np.kron(first, second)) < EXACT
    assert found.toffoli == left.toffoli + right.toffoli
