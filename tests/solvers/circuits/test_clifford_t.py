"""Counts of fault-tolerant gates, and the price's terms beside them."""

import pytest
from qiskit import QuantumCircuit

from benchmarks.circuit_terms import REASONS, WITHIN, terms
from qnewton.solvers.quantum.circuits.clifford_t import CliffordT, clifford_t


def test_known_gates():
    circuit = QuantumCircuit(2)
    circuit.t(0)
    circuit.s(1)
    circuit.rz(0.1, 1)
    circuit.cx(0, 1)
    assert clifford_t(circuit) == CliffordT(rotations=1, t_gates=1, cnot_gates=1)
    assert CliffordT(2, 3, 9).t_count(10.0) == 23.0


@pytest.mark.parametrize("encoding", ["sparse", "dense"])
def test_the_price_agrees_with_the_circuit_or_the_benchmark_says_why(encoding):
    found = {term.part: term for term in terms(4, encoding)}
    for part, term in found.items():
        assert term.ratio <= WITHIN or (encoding, part) in REASONS, term
    assert found["state preparation by rotations"].ratio <= WITHIN
