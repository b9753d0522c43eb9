"""What HHL outputs: phase estimation with a finite clock, a rotation, and the clock undone."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import jv
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.scaling import shifted_number
from qnewton.queries.clock import (
    TURN,
    clock_qubits,
    clock_queries,
    jacobi_anger_terms,
    rotation_constant,
)
from qnewton.queries.polynomials import Array
from qnewton.records import Outcome
from qnewton.records.messages import check
from qnewton.solvers.quantum.algorithm import Chances, FunctionOfA
from qnewton.solvers.quantum.clock_means import WINDOWS, Window, WindowName, mean_rotation
from qnewton.solvers.quantum.promise import Promise, SystemRefused

MAX_CLOCK_QUBITS = 30
"""Largest clock emulated, by eigenvalues or in a Krylov space."""

MAX_EVOLVED_QUBITS = 24
"""Largest clock whose evolutions are computed one after the other: 2²⁴ of them."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The clock register of HHL's phase estimation.

    Attributes:
        qubits: m, the clock holds M = 2^m values; ``None`` for the m whose spacing 2π/(Mt) is
            at most ε·α/κ_be.
        time: t of e^{iAt}, with ‖A‖t < π; ``None`` for 0.9·π/α.
        window: Amplitudes the clock starts with: ``uniform``, or Harrow's ``sine`` √(2/M)
            sin(π(τ+½)/M), whose tails fall faster.
        rotation: C of the rotation C/λ̃, clipped at 1; ``None`` for the larger of the clock's
            spacing 2π/(Mt), at which nothing is clipped, and half the promised α/κ_be.
    """

    qubits: int | None = None
    time: float | None = None
    window: WindowName = "uniform"
    rotation: float | None = None

    def in_units(self, exponent: int) -> "Clock":
        """Return the same clock for the matrix divided by 2^exponent."""
        time, rotation = self.time, self.rotation
        time = None if time is None else shifted_number(time, exponent)
        rotation = None if rotation is None else shifted_number(rotation, -exponent)
        return replace(self, time=time, rotation=rotation)


@dataclass(frozen=True, eq=False)
class HHL(FunctionOfA):
    """HHL with every parameter set.

    Attributes:
        size: M.
        time: t.
        rotation: C.
        window: The amplitudes that the clock starts with.
        alpha: α of the block-encoding that the evolution queries.
        epsilon: Error allowed to the simulated evolutions together.
    """

    name: ClassVar[str] = "hhl"
    # Its evolutions take 50 products per clock value, its function no time at any clock.
    on_eigenvalues: ClassVar[bool] = True
    size: int
    time: float
    rotation: float
    window: Window
    alpha: float
    epsilon: float

    @property
    def amplitudes(self) -> Array:
        """a_τ of the window, unit length, shape [M]."""
        return self.window.amplitudes(self.size)

    def rotations(self) -> Array:
        """Return f_k = C/λ̃_k, λ̃_k = 2πk/(Mt) with k ≥ M/2 negative, clipped to ±1, f_0 = 0."""
        k = np.fft.fftfreq(self.size, d=1.0 / self.size)
        values = 2.0 * np.pi * k / (self.size * self.time)
        f = np.divide(self.rotation, values, out=np.zeros(self.size), where=k != 0)
        return np.clip(f, -1.0, 1.0)

    def factors(self, values: Array) -> Array:
        """Return h(λ) = Σ_k f_k w_k(λ): the clock's distribution at φ = λt/2π."""
        positions = values * (self.time * self.size / (2.0 * np.pi))
        reach = self.rotation * self.time * self.size / (2.0 * np.pi)
        return mean_rotation(positions, self.size, reach, self.window)

    @property
    def krylov_degree(self) -> None:
        """None: y is no polynomial in A."""

    def solution(self, image: Tensor, length: float) -> Tensor:
        """Return y with the length that the rotation gives it."""
        return image * (length / self.rotation)

    def harmonics(self) -> NDArray[np.complex128]:
        """Return c_s, s = 0 … M-1, with h(λ) = c_0 + 2 Re Σ_{s≥1} c_s e^{isλt}."""
        transform = np.fft.fft(self.rotations())
        padded = np.fft.fft(self.amplitudes, 2 * self.size)
        correlation = np.fft.ifft(np.abs(padded) ** 2).real[: self.size]
        return transform * correlation / self.size

    def by_products(
        self, operator: SymmetricOperator, start: Tensor
    ) -> tuple[Tensor, Chances, int]:
        """Return y, ‖y‖² and the products spent: every evolution e^{isAt}, s < M, by Jacobi-Anger.

        cos and sin of sAt applied to b̂ follow from the last by the addition theorems.
        """
        if self.size > 2**MAX_EVOLVED_QUBITS:
            qubits = self.clock_qubits
            message = f"a clock of {qubits} qubits has 2**{qubits} evolutions, and by products at "
            message += f"most 2**{MAX_EVOLVED_QUBITS} are computed; take mode='eigen' or 'krylov'"
            raise SystemRefused(
                Outcome.CLOCK_TOO_LARGE, message, f"{qubits} qubits above {MAX_EVOLVED_QUBITS}"
            )
        terms = jacobi_anger_terms(self.alpha * self.time, 1e-16)
        order = np.arange(terms + 1)
        series = 2.0 * jv(order, self.alpha * self.time)
        series[0] /= 2.0
        products = 0

        def evolve(real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
            """Return e^{iAt} applied to real + i·imaginary: i^j J_j T_j summed."""
            nonlocal products
            pair = torch.stack([real, imaginary], dim=1)
            before, term = pair, (operator @ pair) / self.alpha
            total = [series[0] * pair, series[1] * term]
            for j in range(2, terms + 1):
                before, term = term, (operator @ term) * (2.0 / self.alpha) - before
                total[j % 2] = total[j % 2] + (-1.0) ** (j // 2) * series[j] * term
            products += 2 * terms
            even, odd = total
            return even[:, 0] - odd[:, 1], even[:, 1] + odd[:, 0]

        c = self.harmonics()
        real, imaginary = start, torch.zeros_like(start)
        image = float(c[0].real) * start
        for s in range(1, self.size):
            real, imaginary = evolve(real, imaginary)
            image = image + 2.0 * (float(c[s].real) * real - float(c[s].imag) * imaginary)
        return image, Chances(float(image @ image)), products

    @property
    def clock_qubits(self) -> int:
        """The clock's m qubits."""
        return self.size.bit_length() - 1

    @property
    def evolution_error(self) -> float:
        """The share of ε that each of the 2m evolutions has."""
        return self.epsilon / (2 * self.clock_qubits)

    def evolution_length(self, j: int) -> float:
        """Return α·2^j·t, the length of the evolution that the clock's qubit j controls."""
        return math.ldexp(self.alpha * self.time, j)

    @property
    def queries(self) -> int:
        """Calls to U_A: m controlled evolutions of 2^j·t, and the same again to undo them."""
        return clock_queries(self.clock_qubits, self.epsilon, self.alpha * self.time)


def hhl(promise: Promise, epsilon: float, clock: Clock) -> HHL:
    """Return HHL with the parameters that were left open set."""
    time = TURN / promise.alpha if clock.time is None else clock.time
    if not (0.0 < time * promise.alpha < math.pi):
        limits = f"must lie between 0 and π/α = {math.pi / promise.alpha:.6g}"
        said = f"the evolution time is {time:.6g}; it {limits}"
        raise ValueError(f"{said}, or phases of different signs coincide")
    qubits = clock.qubits
    if qubits is None:
        qubits = int(clock_qubits(promise.kappa, epsilon, promise.alpha * time))
        if qubits > MAX_CLOCK_QUBITS:
            message = f"kappa_be = {promise.kappa:.4g} at epsilon={epsilon:.3g} needs a clock of "
            message += f"{qubits} qubits, above the limit of {MAX_CLOCK_QUBITS}; raise epsilon, or "
            message += "give the clock fewer"
            detail = f"{qubits} qubits above {MAX_CLOCK_QUBITS}"
            raise SystemRefused(Outcome.CLOCK_TOO_LARGE, message, detail)
    if not 1 <= qubits <= MAX_CLOCK_QUBITS:
        raise ValueError(f"the clock has {qubits} qubits; it needs 1 to {MAX_CLOCK_QUBITS}")
    size = 2**qubits
    if clock.window not in WINDOWS:
        known = " or ".join(map(repr, WINDOWS))
        raise ValueError(f"the clock's window is {clock.window!r}; it must be {known}")
    rotation = clock.rotation
    if rotation is None:
        turn = promise.alpha * time
        rotation = promise.alpha * rotation_constant(promise.kappa, qubits, turn)
    check("the rotation constant", rotation, "must be positive and finite", rotation > 0.0)
    return HHL(size, time, rotation, WINDOWS[clock.window], promise.alpha, epsilon)
