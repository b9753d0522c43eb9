"""What the page's script draws: every stop of every slider, computed by the package."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from docs.explorable.hhl_stages import hhl_stages
from docs.explorable.qsvt_stages import call_states, qsvt_stages
from docs.explorable.register import Array, Stage, packed
from docs.explorable.systems import SmallSystem
from qnewton.queries.polynomials import InversePolynomial, inverse_polynomial
from qnewton.solvers.quantum import Clock, Emulator, QuantumSolution, Readout
from qnewton.solvers.quantum.circuits import inverse_phases
from qnewton.solvers.quantum.hhl import HHL
from qnewton.solvers.quantum.qsvt import QSVT

CLOCK_QUBITS = range(2, 7)
EVOLUTION_ERROR = 1e-6
"""ε of all evolutions of HHL together: it decides how many calls they count."""
EPSILONS = (0.999, 1e-3)
"""Polynomials go from the largest of these errors to the smallest."""
SHOTS = tuple(round(10 ** (k / 2)) for k in range(3, 17))
CURVE_POINTS = 161

Data = dict[str, Any]


def stories(systems: Mapping[int, SmallSystem]) -> Data:
    """Return the data of the page for each system, by its number of unknowns."""
    return {str(n): Story(system).data() for n, system in systems.items()}


@dataclass(frozen=True, eq=False)
class Story:
    """One system, solved at every stop."""

    system: SmallSystem

    @cached_property
    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.as_tensor(self.system.matrix), torch.as_tensor(self.system.rhs)

    def data(self) -> Data:
        """Return all numbers about this system that the page has."""
        system = self.system
        return {
            "matrix": _rounded(system.matrix),
            "rhs": _rounded(system.rhs),
            "damping": system.damping,
            "values": _rounded(system.values),
            "vectors": _rounded(system.vectors),
            "exact": _rounded(system.exact),
            "hhl": [self._clock(qubits) for qubits in CLOCK_QUBITS],
            "qsvt": [self._polynomial(made) for made in self._polynomials()],
            "readout": self._readings(),
        }

    def _clock(self, qubits: int) -> Data:
        matrix, rhs = self._tensors
        clock = Clock(qubits=qubits)
        emulator = Emulator(
            matrix, "hhl", EVOLUTION_ERROR, clock=clock, mode="eigen"
        )
        solver = emulator.posed(rhs).solver
        assert isinstance(solver, HHL)
        stages = hhl_stages(solver, self.system.values, self.system.weights)
        # An estimate k of the clock stands for λ̃ = 2πk/(Mt).
        spacing = 2.0 * np.pi / (solver.size * solver.time)
        return {
            "qubits": qubits,
            "spacing": spacing,
            "rotation": solver.rotation,
            "stages": [self._stage(stage) for stage in stages],
            **self._outcome(emulator.solve(rhs)),
        }

    def _polynomials(self) -> Iterator[InversePolynomial]:
        """Yield the optimal polynomials of all degrees whose error lies in the range."""
        matrix, rhs = self._tensors
        solver = (
            Emulator(matrix, "qsvt", EPSILONS[0], mode="eigen").posed(rhs).solver
        )
        assert isinstance(solver, QSVT)
        made = solver.polynomial
        while made.error_bound > EPSILONS[1]:
            yield made
            made = inverse_polynomial(made.kappa, made.error_bound * (1.0 - 1e-6))
        yield made

    def _polynomial(self, made: InversePolynomial) -> Data:
        matrix, rhs = self._tensors
        emulator = Emulator(matrix, "qsvt", made.epsilon, mode="eigen")
        solver = emulator.posed(rhs).solver
        assert isinstance(solver, QSVT)
        system, phases = self.system, inverse_phases(made)
        points = np.clip(system.values / solver.alpha, -1.0, 1.0)
        stages = qsvt_stages(solver, phases, system.values, system.weights)
        calls = call_states(phases, points, system.weights)
        curve = made.evaluate(np.linspace(0.0, 1.0, CURVE_POINTS)) / made.sup_norm
        return {
            "degree": made.degree,
            "bound": made.error_bound,
            "kappa": made.kappa,
            "alpha": solver.alpha,
            "height": made.sup_norm,
            "curve": [round(float(y), 5) for y in curve],
            "factors": _rounded(made.evaluate(points) / made.sup_norm),
            "calls": packed(np.concatenate(calls)),
            "stages": [self._stage(stage) for stage in stages],
            **self._outcome(emulator.solve(rhs)),
        }

    def _stage(self, stage: Stage) -> Data:
        components, own = stage.components(self.system.vectors)
        return {
            "up": packed(stage.up),
            "down": None if stage.down is None else packed(stage.down),
            "components": [round(float(x), 6) for x in components],
            "own": own,
        }

    def _outcome(self, found: QuantumSolution) -> Data:
        return {
            "queries": found.queries,
            "success": found.success_probability,
            "expected": found.expected_queries,
            "off": self.system.degrees_off(found.direction.numpy()),
        }

    def _readings(self) -> Data:
        """Return what so many shots tell of QSVT's most accurate state."""
        matrix, rhs = self._tensors
        emulator = Emulator(matrix, "qsvt", EPSILONS[1], mode="eigen")
        made = [
            emulator.solve(rhs, Readout(method="amplitude", shots=shots, seed=0))
            for shots in SHOTS
        ]
        rows = []
        for shots, found in zip(SHOTS, made, strict=True):
            assert found.measurement is not None
            vector = found.measurement.vector.numpy()
            rows.append(
                {
                    "shots": shots,
                    "vector": [round(float(x), 6) for x in vector],
                    "off": self.system.degrees_off(vector),
                }
            )
        return {"state": _rounded(made[-1].state.numpy()), "rows": rows}


def _rounded(numbers: Array) -> Any:
    """Return numbers as lists, to nine digits."""
    if numbers.ndim == 2:
        return [_rounded(row) for row in numbers]
    return [float(f"{x:.9g}") for x in numbers]
