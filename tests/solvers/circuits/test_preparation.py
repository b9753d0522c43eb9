"""State preparation: the vector itself, with its sign, in the first column."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Operator

from qnewton.solvers.quantum.circuits import solver_circuit
from qnewton.solvers.quantum.circuits.preparation import padded, preparation

# Zeros and units are where a synthesis has nothing to do.
entries = st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-1.0, 1.0))


def built_by(gate):
    """Return the matrix of the circuit that a gate is built from."""
    return np.asarray(Operator(gate.definition))


@given(st.lists(entries, min_size=1, max_size=8).filter(lambda v: np.linalg.norm(v) > 1e-3))
def test_the_first_column_is_the_vector(values):
    vector = padded(np.array(values) / np.linalg.norm(values))
    gate = preparation(vector)
    # Qiskit leaves out rotations by 1e-10 and less.
    for matrix in (np.asarray(gate), built_by(gate)):
        np.testing.assert_allclose(matrix[:, 0], vector, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.lists(entries, min_size=1, max_size=4).filter(lambda v: np.linalg.norm(v) > 1e-3))
def test_controlled_and_inverted_gates_are_built_as_their_matrices_say(values):
    gate = preparation(padded(np.array(values) / np.linalg.norm(values)))
    for form in (gate.inverse(), gate.controlled(on=0), gate.controlled(on=1).inverse()):
        np.testing.assert_allclose(built_by(form), np.asarray(form), atol=1e-9)


@pytest.mark.parametrize("algorithm", ["qsvt", "hhl"])
@pytest.mark.parametrize("rhs", [-3.0, 3.0])
def test_one_unknown_keeps_its_sign(algorithm, rhs):
    found = solver_circuit(torch.tensor([[2.0]]), torch.tensor([rhs]), algorithm, epsilon=0.1)
    assert np.sign(found.image[0]) == np.sign(rhs)
