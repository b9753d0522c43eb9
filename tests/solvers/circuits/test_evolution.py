"""e^{iAτ} from calls of a block-encoding, beside the matrix exponential."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Operator
from scipy.linalg import expm

from qnewton.solvers.quantum.circuits import DenseDilation
from qnewton.solvers.quantum.circuits.evolution import evolution, evolution_calls
from qnewton.solvers.quantum.circuits.oracle import BLOCK_ENCODING, calls
from tests.cases import symmetric


@settings(deadline=None, max_examples=25)
@given(
    n=st.sampled_from([2, 4]),
    length=st.floats(0.0, 40.0),
    log_error=st.floats(-10.0, -1.5),
    seed=st.integers(0, 2**16),
)
def test_the_walk_s_polynomial_is_the_exponential(n, length, log_error, seed):
    matrix = symmetric(n, seed).numpy()
    alpha = 1.1 * float(np.linalg.norm(matrix, 2))
    error = 10**log_error
    circuit = evolution(DenseDilation().encode(matrix, alpha), length, error)
    corner = np.asarray(Operator(circuit))[:n, :n]
    assert np.linalg.norm(corner - expm(1j * matrix * length / alpha), 2) <= 3.0 * error
    assert calls(circuit, BLOCK_ENCODING) == evolution_calls(length, error)


def test_its_calls_grow_with_its_length_and_its_digits():
    assert evolution_calls(100.0, 1e-6) == pytest.approx(2 * 100.0, rel=0.4)
    assert evolution_calls(10.0, 1e-12) > evolution_calls(10.0, 1e-3)
