"""The emulator with a circuit's errors: entries, angles and a right-hand side that are off."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, MatrixFreeOperator, SymmetricOperator
from qnewton.queries.errors import CircuitErrors
from qnewton.solvers.quantum.algorithm import Applied, Chances, Posed
from qnewton.solvers.quantum.execution import Executed
from qnewton.solvers.quantum.outcomes import DrawnOutcomes
from qnewton.solvers.quantum.output_state import Eigenbasis, output_state
from qnewton.solvers.quantum.readout import Readout
from qnewton.solvers.solution import Mode


@dataclass(frozen=True, kw_only=True)
class ErringEmulation:
    """An emulator whose matrix, right-hand side and rotations are off.

    The algorithm's parameters, and the classical product that tells the solution's length, are
    those of the exact A and b. What is drawn is the same for every system of one size.

    Attributes:
        errors: How far they are off.
        mode: How the state is computed, ``eigen``, ``products`` or ``krylov``.
        epsilon: As :class:`~qnewton.solvers.quantum.execution.Emulation` has it.
    """

    errors: CircuitErrors
    mode: Mode
    epsilon: float

    @property
    def name(self) -> str:
        """What records call it."""
        return "emulator with errors"

    def check(self, n: int) -> None:
        """Do nothing: every size is emulated."""

    def check_readout(self, readout: Readout | None) -> None:
        """Do nothing: every read-out is drawn."""

    def run(self, posed: Posed) -> Executed:
        """Compute the state that the errors leave; its outcomes are drawn."""
        generator = torch.Generator().manual_seed(self.errors.seed)
        operator = self._encoded(posed, generator)
        start = posed.unit + self.errors.rhs * _direction(posed.unit, generator)
        start = start / start.norm()
        basis = None
        if self.mode == "eigen":
            basis = Eigenbasis(*torch.linalg.eigh(operator.dense()))
        known = (self.mode, basis, self.epsilon)
        applied = self._turned(
            output_state(posed.solver, operator, start, *known), posed, generator
        )
        state = applied.image / applied.image.norm()
        return Executed(applied=applied, outcomes=partial(DrawnOutcomes, state))

    def _encoded(self, posed: Posed, generator: torch.Generator) -> SymmetricOperator:
        """Return A + E, E = α·δ_A·HDH for a drawn reflection H and signs D: E² = ‖E‖₂²·1."""
        operator, size = posed.operator, posed.solver.alpha * self.errors.entries
        if size == 0.0:
            return operator
        h = _direction(posed.unit, generator)
        signs = torch.randint(0, 2, (operator.n,), generator=generator).double() * 2.0 - 1.0
        signs = signs.to(h.device)

        def error(vector: Tensor) -> Tensor:
            turned = signs * (vector - 2.0 * h * torch.dot(h, vector))
            return size * (turned - 2.0 * h * torch.dot(h, turned))

        if not isinstance(operator, DenseOperator):
            product = lambda vector: operator @ vector + error(vector)  # noqa: E731
            return MatrixFreeOperator(operator.n, product, torch.float64, h.device)
        # HDH = D - 2h(Dh)ᵀ - 2(Dh)hᵀ + 4(hᵀDh)hhᵀ
        turned = signs * h
        entries = torch.outer(h, 2.0 * float(h @ turned) * h - 2.0 * turned)
        entries = size * (entries + entries.mT + torch.diag(signs))
        return DenseOperator(operator.dense() + entries)

    def _turned(self, applied: Applied, posed: Posed, generator: torch.Generator) -> Applied:
        """Return what the rotations leave of the output."""
        off = posed.solver.queries * self.errors.rotations
        image = applied.image + off * _direction(posed.unit, generator)
        grown = float(image @ image) / float(applied.image @ applied.image)
        success = min(1.0, applied.chances.success * grown)
        chances = Chances(success, max(success, applied.chances.reached))
        return replace(applied, image=image, chances=chances)


def _direction(like: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(len(like), generator=generator, dtype=torch.float64).to(like.device)
    return drawn / drawn.norm()
