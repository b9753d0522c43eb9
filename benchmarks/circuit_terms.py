"""Do the terms of the audited price count what circuits of the same systems count?

A tridiagonal system, N = 4, 8 and 16, solved by QSVT. Each oracle is transpiled by Qiskit to
Clifford gates, T gates and rotations; a rotation counts as many T gates as in the price, to the
same error. Beside it stands the price's term at the same N, d, κ and ε. Where one is more than
twice the other, the row names the assumption that makes the difference. Nothing is timed.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Report, Row, Say
from qnewton.cost.audit import ErrorShares
from qnewton.cost.encodings import (
    DenseEncoding,
    Encoding,
    LogicalGates,
    SparseEncoding,
    rotation_t_gates,
    state_preparation,
    value_bits,
)
from qnewton.solvers.quantum.circuits import SolverCircuit, solver_circuit
from qnewton.solvers.quantum.circuits.clifford_t import CliffordT, by_part

EPSILON = 1e-2
SIZES = (4, 8, 16)
WITHIN = 2.0

REASONS = {
    ("sparse", "block-encoding"): "Qiskit synthesises the index oracle as any unitary, about 4^q "
    "rotations on q qubits, where the price reads N·d words from a table",
    ("dense", "block-encoding"): "Qiskit synthesises the dilation as any unitary, about 4^q "
    "rotations, where the price loads angles by tables that grow with N",
    ("sparse", "state preparation"): "the price loads angles from tables, which pays for large N "
    "alone; with one rotation per branch it is within a factor of two",
    ("dense", "state preparation"): "the price loads angles from tables, which pays for large N "
    "alone; with one rotation per branch it is within a factor of two",
    ("sparse", "solver"): "the price's encoding keeps a position and all bits of a value in "
    "ancillas, and reflects about each; the circuit's amplitude is one rotation of one ancilla",
    ("dense", "solver"): "the price charges 2a + 3 Toffoli gates for a reflection about a "
    "ancillas; with the dilation's one ancilla it is a single rotation",
}
"""Which assumption of the price makes a term differ by more than a factor of two."""


@dataclass(frozen=True)
class Term:
    """One term on both sides, in T gates.

    Attributes:
        encoding: ``sparse`` or ``dense``.
        n: Unknowns.
        part: As the price calls it.
        circuit: T gates of the transpiled gates.
        price: T gates of the price's term.
    """

    encoding: str
    n: int
    part: str
    circuit: float
    price: float

    @property
    def ratio(self) -> float:
        """The larger over the smaller."""
        return max(self.circuit, self.price) / min(self.circuit, self.price)


def measure(say: Say) -> Report:
    """Count both sides at every size."""
    rows, facts = [], {}
    for encoding in ("sparse", "dense"):
        for n in SIZES:
            for term in terms(n, encoding):
                rows.append(_row(term))
                say(f"{term}")
                facts[f"{encoding}, N = {n}, {term.part}"] = [term.circuit, term.price]
    return Report("circuit_terms", rows, None, {}, facts=facts)


def terms(n: int, encoding: str) -> list[Term]:
    """Return the terms of one system: of one call of U_A, one of U_b, and per call beside them."""
    matrix, rhs = _system(n)
    shares = ErrorShares(EPSILON)
    attempt = solver_circuit(matrix, rhs, epsilon=shares.solver, encoding=encoding)
    priced, kappa = _priced(matrix, encoding)
    amplified = priced.alpha * kappa
    bits = value_bits(amplified, shares.entries, priced.extra_bits)
    # Every attempt's rotations share their part of the error; so do the branches of U_b.
    expected = attempt.queries / float(attempt.image @ attempt.image)
    rotation = rotation_t_gates(math.log2(shares.rotations / expected))
    branch = rotation_t_gates(math.log2(shares.rhs / amplified / n))
    prices = {
        "block-encoding": priced.gates(bits),
        "state preparation": state_preparation(n, shares.rhs, "tables", amplified=amplified),
        "state preparation by rotations": state_preparation(
            n, shares.rhs, "rotations", amplified=amplified
        ),
        "solver": LogicalGates(toffoli=2.0 * priced.ancillas(bits) + 3, t_gates=rotation),
    }
    counts = _counts(attempt)
    per_rotation = {"block-encoding": rotation, "solver": rotation}
    return [
        Term(
            encoding,
            n,
            part,
            counts[part].t_count(per_rotation.get(part, branch)),
            prices[part].t_count,
        )
        for part in prices
    ]


def _counts(attempt: SolverCircuit) -> dict[str, CliffordT]:
    found = by_part(attempt)
    return found | {"state preparation by rotations": found["state preparation"]}


def _system(n: int) -> tuple[Tensor, Tensor]:
    beside = torch.full((n - 1,), 0.5, dtype=torch.float64)
    matrix = 2.0 * torch.eye(n, dtype=torch.float64) + torch.diag(beside, 1)
    rhs = np.random.default_rng(0).standard_normal(n)
    return matrix + torch.diag(beside, -1), torch.from_numpy(rhs)


def _priced(matrix: Tensor, encoding: str) -> tuple[Encoding, float]:
    """Return the encoding and κ."""
    n, values = len(matrix), torch.linalg.eigvalsh(matrix)
    norm, kappa = float(values.max()), float(values.max() / values.min())
    if encoding == "dense":
        return DenseEncoding(n=n, alpha=float(matrix.norm()) / norm), kappa
    d = int((matrix != 0.0).sum(dim=1).max())
    largest = d * float(matrix.abs().max()) / norm
    return SparseEncoding(n=n, sparsity=d, alpha=largest), kappa


def _row(term: Term) -> Row:
    question = f"T gates, {term.encoding} encoding, N = {term.n}: {term.part}"
    more = "circuit" if term.circuit >= term.price else "price"
    found = f"{term.circuit:,.0f} in the circuit, {term.price:,.0f} in the price"
    if term.ratio <= WITHIN:
        return Row(question, "within 2×, or explained", f"{found}: {term.ratio:.2g}×", "met")
    reason = REASONS.get((term.encoding, term.part))
    told = f"{found}: the {more} has {term.ratio:.2g}× as many; {reason}"
    return Row(question, "within 2×, or explained", told, "met" if reason else "missed")
