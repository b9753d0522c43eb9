"""How long does it take to emulate the quantum solver, and to read its state, at the paper's size?

The first-layer block of the paper's DNN, N = 12,544, in memory. The output state has to be resolved
within 5 s at λ = 1 and 25 s at λ = 0.1. It is compared with a run that goes on until polynomials of
lower degree provably follow the solver's polynomial on the Ritz interval. Reading the state with
10⁹ shots has to take about a second.
"""

import time
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.harness import Report, Row, Say, describe_machine, reached
from benchmarks.mnist_block import block_name, damped_block
from qnewton.solvers.quantum import QuantumSolution, Readout, emulate, output_state
from qnewton.solvers.quantum import measure as read_out

LIMITS = {1.0: 5.0, 0.1: 25.0}
EPSILON = 1e-6
SHOTS = 10**9
_AGREES = 1e-9
_READOUT_S = 2.0


def measure(say: Say) -> Report:
    """Emulate at each λ, check, and read the last state."""
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    rhs = torch.randn(12_544, generator=torch.Generator().manual_seed(1))
    state = None
    for strength, limit in LIMITS.items():
        title = f"{block_name()}, λ = {strength:g}, ε = {EPSILON:g}"
        matrix = damped_block(strength)
        start = time.perf_counter()
        output = emulate(matrix, rhs, epsilon=EPSILON, mode="krylov")
        seconds = time.perf_counter() - start
        say(f"{title}: {seconds:.2f} s, {output.products} products")
        rows.append(
            reached(
                f"{title}: output state resolved",
                f"≤ {limit:g} s",
                f"{seconds:.2f} s, resolved {output.resolved}, degree {output.degree}, "
                f"{output.products} products",
                output.resolved and seconds <= limit,
            )
        )
        longer = _certified(matrix, rhs)
        distance = float((longer.state - output.state).norm())
        rows.append(
            reached(
                f"{title}: distance from the state after {longer.products} products",
                f"≤ {_AGREES:g}",
                f"{distance:.1e}",
                distance <= _AGREES,
            )
        )
        facts[title] = {
            "kappa": output.kappa,
            "success_probability": output.success_probability,
            "expected_queries": output.expected_queries,
            "seconds": seconds,
        }
        state = output.state
    assert state is not None
    start = time.perf_counter()
    read = read_out(state, Readout(shots=SHOTS))
    seconds = time.perf_counter() - start
    error = float((read.vector - state).norm())
    rows.append(
        reached(
            f"N = {len(state):,}: reading the state with {SHOTS:.0e} shots",
            f"≤ {_READOUT_S:g} s",
            f"{1e3 * seconds:.1f} ms, ℓ2 error {error:.1e}",
            seconds <= _READOUT_S,
        )
    )
    return Report("emulation", rows, describe_machine(), facts=facts)


def _certified(matrix: torch.Tensor, rhs: torch.Tensor) -> QuantumSolution:
    """Return the output once the series of the polynomial says so: settling is not believed."""
    with patch.object(output_state, "_moved", lambda *_: None):
        return emulate(matrix, rhs, epsilon=EPSILON, mode="krylov")
