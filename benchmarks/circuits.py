"""Do the circuits do what the emulator says, and how long do they take to build and simulate?

Random symmetric systems, N = 2 to 16, half of them indefinite: the state and the success
probability that a circuit leaves beside the emulator's, and the calls of U_A counted in it beside
the queries. HHL beside its closed form. Then one large circuit of each kind, and HHL by emulation.
Gates are perfect.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Report, Row, Say, describe_machine, reached
from qnewton.solvers.quantum import Clock, QuantumSolution, emulate
from qnewton.solvers.quantum.circuits import SolverCircuit, solver_circuit

SYSTEMS = 120
_BY_CALLS = 20
_LARGE_S, _EMULATED_S = 60.0, 0.2


@dataclass
class _Worst:
    """The largest differences seen."""

    state: float = 0.0
    chance: float = 0.0
    queries_differ: int = 0
    systems: int = 0

    def add(self, circuit: SolverCircuit, found: QuantumSolution, queries: bool) -> None:
        image = torch.from_numpy(circuit.image)
        chance = float(image @ image)
        self.state = max(self.state, float((image / image.norm() - found.state).norm()))
        self.chance = max(self.chance, abs(chance - found.success_probability))
        self.queries_differ += queries and circuit.queries != found.queries
        self.systems += 1


def measure(say: Say) -> Report:
    """Compare every kind of circuit with the emulator, and time the large ones."""
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    for algorithm, limit in (("qsvt", 1e-8), ("dalzell", 1e-8), ("hhl", 1e-10)):
        worst = _agreement(algorithm)
        say(f"{algorithm}: {worst}")
        title = f"{algorithm}, {worst.systems} random systems, N = 2 to 16"
        rows += _difference(f"{title}: state", worst.state, limit)
        rows += _difference(f"{title}: success probability", worst.chance, limit)
        if algorithm != "hhl":
            calls = f"{title}: circuits whose calls of U_A are not the queries"
            rows.append(reached(calls, "0", str(worst.queries_differ), worst.queries_differ == 0))
        facts[title] = {"state": worst.state, "chance": worst.chance}
    rows.append(_evolutions_by_calls(say))
    rows += [_large_qsvt(say), _large_hhl(say), _small_emulation(say)]
    return Report("circuits", rows, describe_machine(), {}, facts=facts)


def _difference(title: str, found: float, limit: float) -> list[Row]:
    return [reached(title, f"≤ {limit:g}", f"{found:.1e}", found <= limit)]


def _system(n: int, kappa: float, indefinite: bool, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    values = np.geomspace(1.0, 1.0 / kappa, n)
    if indefinite:
        values *= rng.choice([-1.0, 1.0], n)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    matrix = torch.from_numpy((basis * values) @ basis.T)
    return (matrix + matrix.mT) / 2, torch.from_numpy(rng.standard_normal(n))


def _agreement(algorithm: str) -> _Worst:
    rng, worst = np.random.default_rng(20), _Worst()
    for seed in range(SYSTEMS):
        n, kappa = int(rng.integers(2, 17)), float(rng.uniform(1.0, 12.0))
        matrix, rhs = _system(n, kappa, seed % 2 == 1, seed)
        asked: dict[str, Any] = {"epsilon": float(10 ** rng.uniform(-6.0, -0.5))}
        if algorithm == "hhl":
            window = "sine" if seed % 4 < 2 else "uniform"
            asked["clock"] = Clock(qubits=int(rng.integers(2, 7)), window=window)
        elif algorithm == "dalzell":
            asked["epsilon"] = float(rng.uniform(0.01, 0.5))
            asked["norm"] = float(torch.linalg.solve(matrix, rhs).norm() * rng.uniform(0.3, 3.0))
        circuit = solver_circuit(matrix, rhs, algorithm, **asked)
        found = emulate(matrix, rhs, algorithm, mode="eigen", **asked)
        worst.add(circuit, found, queries=algorithm != "hhl")
    return worst


def _evolutions_by_calls(say: Say) -> Row:
    """HHL whose evolutions call U_A: the queries, counted."""
    differ, rng = 0, np.random.default_rng(21)
    for seed in range(_BY_CALLS):
        matrix, rhs = _system(int(rng.integers(2, 5)), 4.0, seed % 2 == 1, seed)
        asked: dict[str, Any] = {"epsilon": float(10 ** rng.uniform(-6.0, -1.0))}
        asked["clock"] = Clock(qubits=int(rng.integers(2, 4)))
        circuit = solver_circuit(matrix, rhs, "hhl", encoding="dense", **asked)
        differ += circuit.queries != emulate(matrix, rhs, "hhl", mode="eigen", **asked).queries
    title = f"hhl by calls of U_A, {_BY_CALLS} random systems, N = 2 to 4: circuits whose calls "
    say(f"{title}: {differ}")
    return reached(f"{title}are not the queries", "0", str(differ), differ == 0)


def _timed(say: Say, title: str, limit: float, run: Callable[[], str]) -> Row:
    start = time.perf_counter()
    found = run()
    seconds = time.perf_counter() - start
    say(f"{title}: {seconds:.2f} s, {found}")
    return reached(title, f"≤ {limit:g} s", f"{seconds:.2f} s, {found}", seconds <= limit)


def _large_qsvt(say: Say) -> Row:
    matrix, rhs = _system(64, 60.0, True, seed=1)

    def run() -> str:
        circuit = solver_circuit(matrix, rhs, epsilon=1e-4)
        image = torch.from_numpy(circuit.image)
        state = emulate(matrix, rhs, epsilon=1e-4).state
        difference = float((image / image.norm() - state).norm())
        qubits = circuit.circuit.num_qubits
        return f"degree {circuit.queries}, {qubits} qubits, state off by {difference:.1e}"

    return _timed(say, "QSVT on 6 system qubits, built and simulated", _LARGE_S, run)


def _large_hhl(say: Say) -> Row:
    matrix, rhs = _system(16, 10.0, True, seed=1)
    clock = Clock(qubits=8)

    def run() -> str:
        circuit = solver_circuit(matrix, rhs, "hhl", clock=clock)
        image = torch.from_numpy(circuit.image)
        state = emulate(matrix, rhs, "hhl", clock=clock, mode="eigen").state
        difference = float((image / image.norm() - state).norm())
        return f"{circuit.circuit.num_qubits} qubits, state off by {difference:.1e}"

    return _timed(say, "HHL on 4 system and 8 clock qubits, built and simulated", _LARGE_S, run)


def _small_emulation(say: Say) -> Row:
    matrix, rhs = _system(4, 10.0, False, seed=1)

    def run() -> str:
        found = emulate(matrix, rhs, "hhl", 1e-4)
        return f"mode {found.mode}, {found.queries:,} queries"

    return _timed(say, "HHL of a 4 × 4 system by emulation, ε = 1e-4", _EMULATED_S, run)
