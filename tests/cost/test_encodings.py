"""Block-encodings: numbers of b bits keep ‖A' - A‖ ≤ α·2^(e-b), and α is what the form gives."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from qnewton.cost import Audit, audited_quote, load_hardware, nominal_calibration
from qnewton.cost.encodings import (
    DenseEncoding,
    EigenbasisEncoding,
    Encoding,
    KroneckerEncoding,
    LowRankEncoding,
    SparseEncoding,
    encodings,
    value_bits,
)
from qnewton.operators import DenseFactor, LowRankOperator
from qnewton.records import Eigenbasis, Facts, LowRank, Spectrum
from qnewton.survey.facts import survey_low_rank
from tests.recorded import estimate

Array = NDArray[np.float64]
QUICK = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**16)
BITS = st.integers(3, 16)
CALIBRATION, MACHINE = nominal_calibration(), load_hardware("qubit_gate_ns_e3")
CLOSED = Audit(error_correction="closed-form")


def _rounded_state(vector: Array, bits: int) -> Array:
    """Return the state of a tree of rotations whose angles have so many bits of a turn."""
    levels = max(1, (len(vector) - 1).bit_length())
    padded = np.zeros(1 << levels)
    padded[: len(vector)] = vector
    weights = [padded]
    while len(weights[-1]) > 1:
        weights.append(np.hypot(weights[-1][0::2], weights[-1][1::2]))
    state = np.ones(1)
    for finer in reversed(weights[:-1]):
        angles = np.arctan2(finer[1::2], finer[0::2])
        angles = np.round(angles / (2 * np.pi) * 2.0**bits) / 2.0**bits * 2 * np.pi
        state = (np.stack([np.cos(angles), np.sin(angles)], axis=1) * state[:, None]).ravel()
    return state[: len(vector)]


def _symmetric(n: int, seed: int) -> Array:
    matrix = np.random.default_rng(seed).standard_normal((n, n))
    return matrix + matrix.T


def _relative_error(found: ArrayLike, matrix: ArrayLike) -> float:
    return float(np.linalg.norm(np.subtract(found, matrix), 2))


def _kept(encoding: Encoding, bits: int, error: float, alpha: float) -> None:
    # 1e-12: the oracle's own rounding.
    assert error <= alpha * 2.0 ** (encoding.extra_bits - bits) * (1 + 1e-9) + 1e-12 * alpha


@QUICK
@given(n=st.integers(2, 24), bits=BITS, seed=SEEDS)
def test_odd_multiples_of_a_value_keep_the_promise_of_sparse_access(n, bits, seed):
    matrix = _symmetric(n, seed)
    largest = np.abs(matrix).max()
    found = (2 * np.floor(matrix / largest * 2.0 ** (bits - 1)) + 1).clip(1 - 2**bits, 2**bits - 1)
    encoding = SparseEncoding(n=n, sparsity=n, alpha=1.0)
    error = _relative_error(found * largest * 2.0**-bits, matrix)
    _kept(encoding, bits, error, n * largest)


def _dense(matrix: Array, bits: int) -> tuple[Array, float]:
    """Return what rounded angles of the rows, and of their lengths, encode, and α."""
    lengths = np.linalg.norm(matrix, axis=1)
    alpha = float(np.linalg.norm(lengths))
    rows = np.stack(
        [_rounded_state(row / size, bits) for row, size in zip(matrix, lengths, strict=True)]
    )
    return alpha * rows * _rounded_state(lengths / alpha, bits)[:, None], alpha


@QUICK
@given(n=st.integers(2, 24), bits=BITS, seed=SEEDS)
def test_rounded_angles_keep_the_promise_of_the_dense_encoding(n, bits, seed):
    matrix = _symmetric(n, seed)
    found, alpha = _dense(matrix, bits)
    _kept(DenseEncoding(n=n, alpha=1.0), bits, _relative_error(found, matrix), alpha)


@QUICK
@given(left=st.integers(2, 5), right=st.integers(2, 5), bits=BITS, seed=SEEDS)
def test_both_factors_errors_keep_the_promise_of_a_kronecker_product(left, right, bits, seed):
    first, second = _symmetric(left, seed), _symmetric(right, seed + 1)
    (rounded, one), (turned, other) = _dense(first, bits), _dense(second, bits)
    encoding = KroneckerEncoding(
        left=DenseEncoding(n=left, alpha=2.0), right=DenseEncoding(n=right, alpha=3.0)
    )
    error = _relative_error(np.kron(rounded, turned), np.kron(first, second))
    _kept(encoding, bits, error, one * other)
    assert encoding.alpha == 6.0


@QUICK
@given(n=st.integers(2, 24), k=st.integers(1, 9), bits=BITS, seed=SEEDS)
def test_rounded_angles_keep_the_promise_of_a_low_rank_factor(n, k, bits, seed):
    rng = np.random.default_rng(seed)
    factor, shift = rng.standard_normal((n, k)), rng.random()
    lengths = np.linalg.norm(factor, axis=0)
    square = float(lengths @ lengths)
    alpha = square + shift
    mixture = _rounded_state(lengths / math.sqrt(square), bits) if k > 1 else np.ones(1)
    columns = np.stack(
        [_rounded_state(u / s, bits) for u, s in zip(factor.T, lengths, strict=True)], axis=1
    )
    share = _rounded_state(np.sqrt([square / alpha, shift / alpha]), bits)
    found = (columns * mixture**2) @ columns.T * share[0] ** 2 + share[1] ** 2 * np.eye(n)
    matrix = factor @ factor.T + shift * np.eye(n)
    encoding = LowRankEncoding(n=n, columns=k, alpha=1.0)
    _kept(encoding, bits, _relative_error(alpha * found, matrix), alpha)


def _rounded_orthogonal(matrix: Array, bits: int) -> Array:
    """Return an orthogonal matrix as signs and reflections about states of rounded angles."""
    order, left = len(matrix), matrix.copy()
    found = np.eye(order)
    for column in range(order - 1):
        normal = left[:, column].copy()
        normal[column] -= 1.0
        size = np.linalg.norm(normal)
        if size < 1e-12:
            continue
        exact = normal / size
        left -= 2.0 * np.outer(exact, exact @ left)
        state = _rounded_state(exact, bits)
        found = found - 2.0 * np.outer(found @ state, state)
    return found * np.append(np.ones(order - 1), np.sign(left[-1, -1]))


@QUICK
@given(left=st.integers(2, 5), right=st.integers(1, 5), bits=st.integers(8, 24), seed=SEEDS)
def test_rounded_reflections_keep_the_promise_of_an_eigenbasis(left, right, bits, seed):
    rng = np.random.default_rng(seed)
    bases = [np.linalg.qr(rng.standard_normal((m, m)))[0] for m in (left, right)]
    values = rng.standard_normal(left * right)
    largest = float(np.abs(values).max())
    rounded = (2 * np.floor(values / largest * 2.0 ** (bits - 1)) + 1) * largest * 2.0**-bits
    exact = np.kron(*bases)
    turned = np.kron(*(_rounded_orthogonal(basis, bits) for basis in bases))
    held = Eigenbasis(left=left, right=right)
    encoding = EigenbasisEncoding(n=left * right, orders=held.orders)
    error = _relative_error((turned * rounded) @ turned.T, (exact * values) @ exact.T)
    _kept(encoding, bits, error, largest)


@QUICK
@given(n=st.integers(2, 40), k=st.integers(1, 39), shift=st.floats(1e-3, 10.0), seed=SEEDS)
def test_a_surveyed_factor_gives_its_alpha(n, k, shift, seed):
    factor = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, k)))
    facts = survey_low_rank(LowRankOperator(DenseFactor(factor), shift=shift))
    matrix = factor @ factor.T + shift * torch.eye(n, dtype=torch.float64)
    norm = float(torch.linalg.matrix_norm(matrix, 2))
    exact = (float(factor.square().sum()) + shift) / norm
    [alpha] = [found.alpha for found in encodings(facts) if found.name == "low_rank"]
    # rel: λ is taken for σ_min, which it is where k < N.
    assert exact * (1 - 1e-9) <= alpha <= min(n, k) * (1 + 1e-9)
    if k < n:
        assert alpha == pytest.approx(exact, rel=1e-9)
    unknown = replace(facts, spectrum=replace(facts.spectrum, undamped_trace=None))
    [bound] = [found for found in encodings(unknown) if found.name == "low_rank"]
    assert bound.alpha == min(n, k) >= alpha * (1 - 1e-9)
    assert any("which is never smaller" in said for said in bound.assumptions)


@pytest.mark.parametrize("power", [-300, -150, 150, 300])
def test_alpha_is_that_of_the_matrix_in_any_unit(power):
    torch.manual_seed(0)
    factor = torch.randn(30, 5, dtype=torch.float64)

    def alphas(power: float) -> list[float]:
        scaled = DenseFactor(factor * 10.0 ** (power / 2))
        facts = survey_low_rank(LowRankOperator(scaled, shift=0.3 * 10.0**power))
        return [found.alpha for found in encodings(facts)]

    assert alphas(power) == pytest.approx(alphas(0), rel=1e-12)


def test_a_form_decides_which_encodings_fit():
    spectrum = Spectrum(row_sparsity=12)
    fits = {
        kind: [found.name for found in encodings(Facts(n=12, held=held, spectrum=spectrum))]
        for kind, held in (
            ("low-rank", LowRank(columns=2)),
            ("unknown columns", LowRank()),
            ("eigenbasis", Eigenbasis(left=3, right=4)),
        )
    }
    assert fits == {
        "low-rank": ["sparse", "dense", "low_rank"],
        "unknown columns": ["sparse", "dense"],
        "eigenbasis": ["sparse", "dense", "eigenbasis"],
    }
    assert [found.name for found in encodings(Facts(n=12))] == ["dense"]


@QUICK
@given(
    n=st.integers(2, 10**6),
    other=st.integers(1, 10**4),
    bits=st.integers(1, 60),
    more=st.integers(0, 10**4),
    tables=st.sampled_from(["qrom", "qram"]),
)
def test_no_gate_and_no_qubit_falls_as_a_system_grows(n, other, bits, more, tables):
    def all_of(n: int, other: int) -> list[Encoding]:
        sparse = SparseEncoding(n=n, sparsity=min(n, other), alpha=1.0, tables=tables)
        dense = DenseEncoding(n=n, alpha=1.0, tables=tables)
        low = LowRankEncoding(n=n, columns=other, alpha=1.0, tables=tables)
        basis = EigenbasisEncoding(n=n * other, orders=(n,), tables=tables)
        return [sparse, dense, low, basis, KroneckerEncoding(left=sparse, right=low)]

    here = all_of(n, other)
    for harder in (here, all_of(n + more, other), all_of(n, other + more)):
        for before, after in zip(here, harder, strict=True):
            for less in (bits, bits + 1):
                easy, hard = before.gates(bits), after.gates(less)
                assert hard.toffoli >= easy.toffoli
                assert hard.t_gates >= easy.t_gates
                assert hard.workspace >= easy.workspace
                assert after.ancillas(less) >= before.ancillas(bits)
            assert after.entries >= before.entries
            assert after.extra_bits >= before.extra_bits


@QUICK
@given(
    n=st.integers(2, 10**6),
    columns=st.integers(1, 10**4),
    log_kappa=st.floats(0.0, 12.0),
    factor=st.floats(1.0, 100.0),
)
def test_the_price_of_a_factor_never_falls_as_the_system_gets_harder(n, columns, log_kappa, factor):
    """At a fixed α; whatever encoding is the cheapest."""

    def seconds(n: int, columns: int, kappa: float) -> float:
        held = LowRank(columns=columns, product_flops=1.0)
        condition = estimate(kappa, "given", low=kappa, high=kappa)
        spectrum = Spectrum(condition=condition, norm=1.0, undamped_trace=2.0, frobenius=1.5)
        facts = Facts(n=n, held=held, spectrum=spectrum)
        price = audited_quote(CALIBRATION, facts, MACHINE, CLOSED)
        assert price.seconds is not None
        assert 0.0 < price.seconds < math.inf
        return price.seconds

    kappa = 10**log_kappa
    here = seconds(n, columns, kappa)
    harder = (
        (math.ceil(n * factor), columns, kappa),
        (n, math.ceil(columns * factor), kappa),
        (n, columns, kappa * factor),
    )
    for system in harder:
        # rel: a price is a sum of some ten roundings.
        assert seconds(*system) >= here * (1 - 1e-9)


def test_a_factor_is_read_where_that_is_the_cheapest():
    condition = estimate(100.0, "given", low=100.0, high=100.0)
    spectrum = Spectrum(condition=condition, norm=1.0, undamped_trace=1.5)
    facts = Facts(n=10_000, held=LowRank(columns=20, product_flops=1.0), spectrum=spectrum)
    price = audited_quote(CALIBRATION, facts, MACHINE, CLOSED)
    assert price.assumptions[0].startswith("low rank: α = ‖U‖_F² + λ")
    assert price.terms[0].name == "tables"


def test_bits_grow_with_the_extra_ones():
    assert value_bits(1e4, 1e-2) == 20
    assert value_bits(1e4, 1e-2, extra_bits=3.0) == 23
