"""Do the terms of the audited price count what circuits of the same systems count?

Systems of 4, 8 and 16 unknowns. Block-encodings and state preparation are built from tables, as the
price has them; the solver's own gates, and state preparation by rotations, are Qiskit's gates of a
QSVT circuit. A rotation counts as many T gates as in the price, to the same error. Where one side
is more than twice the other, the row names the assumption that makes the difference. Nothing is
timed.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import Report, Row, Say
from qnewton.cost import ErrorBudget, Split
from qnewton.cost.encodings import (
    DenseEncoding,
    EigenbasisEncoding,
    Encoding,
    KroneckerEncoding,
    LogicalGates,
    LowRankEncoding,
    SparseEncoding,
    angle_bits,
    rotation_t_gates,
    state_preparation,
    value_bits,
)
from qnewton.solvers.quantum.circuits import solver_circuit
from qnewton.solvers.quantum.circuits.clifford_t import by_part
from qnewton.solvers.quantum.circuits.tables import (
    TableEncoding,
    dense_by_tables,
    eigenbasis_by_tables,
    kronecker_product,
    low_rank_by_tables,
    sparse_by_tables,
    tabled_state,
)

Array = NDArray[np.float64]

EPSILON = 1e-2
SIZES = (4, 8, 16)
ENCODINGS = ("sparse", "dense", "low_rank", "kronecker", "eigenbasis")
WITHIN = 2.0
TOFFOLI = "Toffoli gates"

REASONS = {
    ("sparse", "solver"): "the price's encoding compares a value with b qubits and reflects about "
    "each; the solver's circuit rotates one ancilla",
    ("dense", "solver"): "the price charges 2a + 3 Toffoli gates for a reflection about a "
    "ancillas; with the dilation's one ancilla it is a single rotation",
}
"""Which assumption of the price makes a term differ by more than a factor of two."""


SPLIT = Split(solver=1 / 2, entries=1 / 6, rhs=1 / 6, rotations=1 / 6, readout=0.0)
"""A half for the solver, a sixth for each other cause: nothing is read."""


@dataclass(frozen=True)
class Term:
    """One term on both sides.

    Attributes:
        encoding: One of ``ENCODINGS``.
        n: Unknowns.
        part: As the price calls it.
        unit: What is counted.
        circuit: How many in the circuit.
        price: How many in the price's term.
    """

    encoding: str
    n: int
    part: str
    unit: str
    circuit: float
    price: float

    @property
    def ratio(self) -> float:
        """The larger over the smaller."""
        return max(self.circuit, self.price) / min(self.circuit, self.price)


def measure(say: Say) -> Report:
    """Count both sides at every size."""
    rows, facts = [], {}
    for encoding in ENCODINGS:
        for n in SIZES:
            for term in terms(n, encoding):
                rows.append(_row(term))
                say(f"{term}")
                name = f"{encoding}, N = {n}, {term.part}, {term.unit}"
                facts[name] = [term.circuit, term.price]
    return Report("circuit_terms", rows, None, {}, facts=facts)


def block_encoding_terms(n: int, encoding: str) -> list[Term]:
    """Return the terms of one call of U_A."""
    priced, kappa = _priced(n, encoding)
    bits = value_bits(
        priced.alpha * kappa, float(ErrorBudget.of(EPSILON, SPLIT).entries), priced.extra_bits
    )
    built, gates = _built(n, encoding, bits), priced.gates(bits)
    # The circuit's own rotations, those that spread over d values, are each to the entries' share.
    synthesis = rotation_t_gates(-float(bits))
    t_gates = 4.0 * built.toffoli + synthesis * built.rotations
    qubits = (n - 1).bit_length() + priced.ancillas(bits) + gates.workspace
    part = "block-encoding"
    return [
        Term(encoding, n, part, TOFFOLI, built.toffoli, gates.toffoli),
        Term(encoding, n, part, "T gates", t_gates, gates.t_count),
        Term(encoding, n, part, "qubits", built.circuit.num_qubits, qubits),
    ]


def terms(n: int, encoding: str) -> list[Term]:
    """Return the terms of one system: of one call of U_A, one of U_b, and per call beside them."""
    found = block_encoding_terms(n, encoding)
    if encoding not in ("sparse", "dense"):
        return found
    shares = ErrorBudget.of(EPSILON, SPLIT)
    priced, kappa = _priced(n, encoding)
    amplified = priced.alpha * kappa
    bits = value_bits(amplified, shares.entries, priced.extra_bits)
    rhs = np.random.default_rng(0).standard_normal(n)
    prepared = state_preparation(n, shares.rhs, "tables", amplified=amplified)
    tabled = tabled_state(rhs / np.linalg.norm(rhs), angle_bits(n, shares.rhs, amplified))
    preparation = "state preparation"
    found += [
        Term(encoding, n, preparation, "T gates", 4.0 * tabled.toffoli, prepared.t_count),
        Term(
            encoding,
            n,
            preparation,
            "qubits",
            tabled.circuit.num_qubits,
            (n - 1).bit_length() + prepared.workspace,
        ),
    ]
    return found + _of_the_solver(n, encoding, rhs, priced.ancillas(bits), amplified)


def _of_the_solver(
    n: int, encoding: str, rhs: Array, ancillas: int, amplified: float
) -> list[Term]:
    """Return what Qiskit's gates of a QSVT circuit tell."""
    shares, matrix = ErrorBudget.of(EPSILON, SPLIT), torch.from_numpy(_tridiagonal(n))
    asked = {"epsilon": float(shares.solver), "encoding": encoding}
    attempt = solver_circuit(matrix, torch.from_numpy(rhs), **asked)
    # Every attempt's rotations share their part of the error; so do the branches of U_b.
    expected = attempt.queries / float(attempt.image @ attempt.image)
    rotation = rotation_t_gates(math.log2(shares.rotations / expected))
    branch = rotation_t_gates(math.log2(shares.rhs / amplified / n))
    rotated = state_preparation(n, shares.rhs, "rotations", amplified=amplified)
    solver = LogicalGates(toffoli=2.0 * ancillas + 3, t_gates=rotation)
    counts = by_part(attempt)
    return [
        Term(
            encoding,
            n,
            "state preparation by rotations",
            "T gates",
            counts["state preparation"].t_count(branch),
            rotated.t_count,
        ),
        Term(encoding, n, "solver", "T gates", counts["solver"].t_count(rotation), solver.t_count),
    ]


def _tridiagonal(n: int) -> Array:
    return 2.0 * np.eye(n) + 0.5 * np.eye(n, k=1) + 0.5 * np.eye(n, k=-1)


def _factor(n: int) -> Array:
    return np.random.default_rng(0).standard_normal((n, 3))


def _turn(n: int) -> Array:
    return np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]


def _priced(n: int, encoding: str) -> tuple[Encoding, float]:
    """Return the price's encoding, and κ."""
    matrix = _tridiagonal(n)
    if encoding == "low_rank":
        factor = _factor(n)
        matrix = factor @ factor.T + np.eye(n)
    values = np.linalg.eigvalsh(matrix)
    norm, kappa = float(values[-1]), float(values[-1] / values[0])
    if encoding == "dense":
        return DenseEncoding(n=n, alpha=float(np.linalg.norm(matrix)) / norm), kappa
    if encoding == "low_rank":
        alpha = (float(np.square(_factor(n)).sum()) + 1.0) / norm
        return LowRankEncoding(n=n, columns=3, alpha=alpha), kappa
    if encoding == "kronecker":
        (left, one), (right, other) = _priced(n // 2, "sparse"), _priced(2, "sparse")
        return KroneckerEncoding(left=left, right=right), one * other
    if encoding == "eigenbasis":
        return EigenbasisEncoding(n=n, orders=(n // 2, 2)), float(n)
    d = int(np.count_nonzero(matrix, axis=1).max())
    return SparseEncoding(n=n, sparsity=d, alpha=d * float(matrix.max()) / norm), kappa


def _built(n: int, encoding: str, bits: int) -> TableEncoding:
    """Return the circuit of the same encoding."""
    matrix = _tridiagonal(n)
    if encoding == "dense":
        return dense_by_tables(matrix, bits)[0]
    if encoding == "low_rank":
        return low_rank_by_tables(_factor(n), 1.0, bits)[0]
    if encoding == "kronecker":
        return kronecker_product(_built(n // 2, "sparse", bits), _built(2, "sparse", bits))
    if encoding == "eigenbasis":
        values = np.linspace(1.0, n, n).reshape(n // 2, 2)
        return eigenbasis_by_tables(values, _turn(n // 2), _turn(2), bits)[0]
    return sparse_by_tables(matrix, float(np.count_nonzero(matrix, axis=1).max()) * 2.0, bits)


def _row(term: Term) -> Row:
    question = f"{term.unit}, {term.encoding} encoding, N = {term.n}: {term.part}"
    more = "circuit" if term.circuit >= term.price else "price"
    found = f"{term.circuit:,.0f} in the circuit, {term.price:,.0f} in the price"
    if term.ratio <= WITHIN:
        return Row(question, "within 2×, or explained", f"{found}: {term.ratio:.2g}×", "met")
    reason = REASONS.get((term.encoding, term.part))
    told = f"{found}: the {more} has {term.ratio:.2g}× as many; {reason}"
    return Row(question, "within 2×, or explained", told, "met" if reason else "missed")
