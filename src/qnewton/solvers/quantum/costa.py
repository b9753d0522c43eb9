"""What Costa et al.'s solver outputs: an adiabatic walk from b to the solution, then a filter.

H(f) = |0⟩⟨1| ⊗ A(f)Q + |1⟩⟨0| ⊗ QA(f) has the kernel vector |0⟩A(f)⁻¹β, where Q = 1 - ββᵀ. For a
positive definite A/α, A(f) = (1-f) + f·A/α and β = b̂. Otherwise a qubit more makes A(f) =
(1-f)·Z + f·X ⊗ A/α and β = |+⟩b̂, whose singular values are √((1-f)² + f²λ²): none is small before
A's own. Each step is one walk W = (2Π - 1)·U of the block-encoding U of H(f), which is its own
inverse, with f a little larger than the last. As W² = -1 on the kernel, the state follows it.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.queries.arrays import Array
from qnewton.queries.costa import SEEN_CONSTANT, walk_plan
from qnewton.records import Outcome
from qnewton.records.messages import check
from qnewton.solvers.quantum.algorithm import Algorithm, Chances
from qnewton.solvers.quantum.promise import Promise, SystemRefused

MAX_STEPS = 3_000_000
"""Most steps that are emulated: a minute for a hundred unknowns."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How the adiabatic walk is run.

    Attributes:
        constant: c of its c·κ_be/Δ steps: 1.84 was seen to be enough, 2305 is proven.
        power: p of the schedule, between 1 and 2: df/ds is as the gap to the power of p.
    """

    constant: float = SEEN_CONSTANT
    power: float = 1.4

    def __post_init__(self) -> None:
        check("the walk's constant", self.constant, "must be above 0", self.constant > 0.0)
        check("the schedule's power", self.power, "must lie between 1 and 2", 1 < self.power < 2)

    def schedule(self, kappa: float, steps: int) -> Array:
        """Return f at s = 0, 1/T, …, (T-1)/T: κ/(κ-1)·[1 - (1 + s(κ^{p-1} - 1))^{1/(1-p)}].

        Example:
            >>> Walk().schedule(10.0, 4).round(2)
            array([0.  , 0.61, 0.84, 0.94])
        """
        s = np.arange(steps) / steps
        if kappa == 1.0:
            return s
        growth = 1.0 + s * math.expm1((self.power - 1.0) * math.log(kappa))
        return -kappa / (kappa - 1.0) * np.expm1(np.log(growth) / (1.0 - self.power))


@dataclass(frozen=True)
class Costa(Algorithm):
    """The walk with every parameter set.

    Attributes:
        walk: Its constant and its schedule.
        kappa: κ_be.
        alpha: α.
        definite: Whether A is known to be definite, of either sign.
        steps: T, even.
        filtering: ℓ, the filter's steps, even.
        log_filter: ln ε_f, what the filter leaves of the rest.
    """

    name: ClassVar[str] = "costa"
    multiplies: ClassVar[bool] = False
    on_eigenvalues: ClassVar[bool] = True
    walk: Walk
    kappa: float
    alpha: float
    definite: bool
    steps: int
    filtering: int
    log_filter: float

    @property
    def queries(self) -> int:
        """Calls to U_A in one attempt, one per step of the walk and of the filter."""
        return self.steps + self.filtering

    @property
    def state_preparations(self) -> int:
        """Calls to U_b in one attempt: each step reflects about b."""
        return 2 * self.queries

    @property
    def krylov_degree(self) -> None:
        """None: the block-encoding's √(1 - A²/α²) is no polynomial in A."""

    def expected_queries(self, chances: Chances) -> float:
        """Return the calls to U_A until success: a filter fails half way on average."""
        filtered = self.filtering * (chances.reached + chances.success) / 2.0
        return (self.steps + filtered) / chances.success

    def solution(self, image: Tensor, length: float) -> None:
        """Return nothing: the kernel's vector does not tell the solution's length."""

    def by_products(
        self, operator: SymmetricOperator, start: Tensor
    ) -> tuple[Tensor, Chances, int]:
        """Refuse: U_A's other half is no product with A."""
        said = "the walk needs √(1 - A²/α²), which products with A do not give"
        raise ValueError(f"{said}; take mode='eigen' or 'krylov'")

    def coefficients(self, values: Array, weights: Array) -> tuple[Array, Chances]:
        """Return y's coefficients in a basis where A is diagonal, and the chances."""
        scaled = values / self.alpha
        negative = self.definite and scaled.sum() < 0.0
        scaled = -scaled if negative else scaled
        walked = self.walked(scaled, weights)
        y = self._filtered(scaled, weights, walked)
        reached = float(walked.ravel() @ walked.ravel())
        return -y if negative else y, Chances(float(y @ y), min(1.0, reached))

    def walked(self, scaled: Array, weights: Array) -> Array:
        """Return what the walk leaves where all ancillas are 0, shape [1 or 2, N].

        Args:
            scaled: Eigenvalues of A/α, all positive if A is definite.
            weights: b̂'s coefficients.

        Cost: some 10 operations on 16·N numbers per step, 8·N if A is definite.
        """
        system = _System(scaled, weights, self.definite)
        state = system.beginning()
        f = self.walk.schedule(self.kappa, self.steps)
        turns = np.stack([1.0 - f, f], axis=1) / np.hypot(1.0 - f, f)[:, None]
        for out, back in turns.reshape(-1, 2, 2):
            # From |0⟩ to |1⟩ by U_Q·V†, and back by V·U_Q: U is its own inverse.
            state = system.reflected(system.projected(system.decoded(state, out)))
            state = system.reflected(system.encoded(system.projected(state), back))
        sign = -1.0 if self.steps % 4 else 1.0
        return sign * state[:, 0, 0, 0]

    def _filtered(self, scaled: Array, weights: Array, walked: Array) -> Array:
        """Return ε_f·T_ℓ(β√(1 - H²)) on what was walked, and where the last qubit is |+⟩.

        On |0⟩ H² is A(1-b̂b̂ᵀ)A, and T_ℓ(βy) = T_{ℓ/2}(2β²y² - 1). Chebyshev's recurrence grows along
        the kernel alone, so that its rounding stays small beside it.
        """
        top = _arccosh_inverse(self.log_filter)
        beta2 = math.cosh(top / self.filtering) ** 2
        u = walked[0] if self.definite else (walked[0] + walked[1]) / math.sqrt(2.0)

        def z(vector: Array) -> Array:
            image = scaled * vector
            image = image - weights * (weights @ image)
            return 2.0 * beta2 * (vector - scaled * image) - vector

        before, term = u, z(u)
        for _ in range(self.filtering // 2 - 1):
            before, term = term, 2.0 * z(term) - before
        return math.exp(self.log_filter) * term


def _arccosh_inverse(log_value: float) -> float:
    """Return arccosh(1/v) from ln v ≤ 0."""
    return -log_value + math.log1p(math.sqrt(-math.expm1(2.0 * log_value)))


class _System:
    """U's parts in a basis where A is diagonal, on states [1 or 2, a₂, a₃, flag, N]."""

    def __init__(self, scaled: Array, weights: Array, definite: bool) -> None:
        # α may lie a rounding below the largest eigenvalue.
        self._a = np.clip(scaled, -1.0, 1.0)
        self._other = np.sqrt((1.0 - self._a) * (1.0 + self._a))
        self._b = weights
        self._definite = definite

    def beginning(self) -> Array:
        """Return A(0)⁻¹β where all ancillas are 0."""
        state = np.zeros((1 if self._definite else 2, 2, 2, 2, len(self._a)))
        if self._definite:
            state[0, 0, 0, 0] = self._b
        else:
            state[:, 0, 0, 0] = np.outer([1.0, -1.0], self._b) / math.sqrt(2.0)
        return state

    def encoded(self, state: Array, turn: Array) -> Array:
        """Return V: the turn of a₂, either part of A(f), and a Hadamard gate on a₂."""
        zero = self._first(turn[0] * state[:, 0] + turn[1] * state[:, 1])
        one = self._second(turn[1] * state[:, 0] - turn[0] * state[:, 1])
        return np.stack([zero + one, zero - one], axis=1) * math.sqrt(0.5)

    def decoded(self, state: Array, turn: Array) -> Array:
        """Return V†, the same backwards."""
        zero = self._first(state[:, 0] + state[:, 1]) * math.sqrt(0.5)
        one = self._second(state[:, 0] - state[:, 1]) * math.sqrt(0.5)
        turned = [turn[0] * zero + turn[1] * one, turn[1] * zero - turn[0] * one]
        return np.stack(turned, axis=1)

    def projected(self, state: Array) -> Array:
        """Return U_Q: a reflection about β where a₃ is 1, between two Hadamard gates on a₃."""
        off = state[:, :, 0] - state[:, :, 1]
        if self._definite:
            along = (off @ self._b)[..., None] * self._b
        else:
            along = ((off[0] + off[1]) @ self._b * 0.5)[None, ..., None] * self._b
        return np.stack([state[:, :, 0] - along, state[:, :, 1] + along], axis=2)

    def reflected(self, state: Array) -> Array:
        """Return 2Π - 1, Π being where a₂, a₃ and the flag are 0."""
        state = -state
        state[:, 0, 0, 0] *= -1.0
        return state

    def _first(self, part: Array) -> Array:
        """Return 1, or Z on the last qubit."""
        if self._definite:
            return part
        return np.stack([part[0], -part[1]])

    def _second(self, part: Array) -> Array:
        """Return U_A, or X ⊗ U_A."""
        flagged, rest = part[..., 0, :], part[..., 1, :]
        if not self._definite:
            flagged, rest = flagged[::-1], rest[::-1]
        encoded = [self._a * flagged + self._other * rest, self._other * flagged - self._a * rest]
        return np.stack(encoded, axis=-2)


def costa(promise: Promise, epsilon: float, walk: Walk) -> Costa:
    """Return the solver for a promise, its two stages shared out as the price has them."""
    kappa = promise.kappa
    plan = walk_plan(kappa, min(epsilon, 0.5), walk.constant, power=2)
    steps = 2 * max(1, math.ceil(float(plan.steps) / 2.0))
    filtering = 2 * max(1, math.ceil(float(plan.filtering) / 2.0))
    if steps + filtering > MAX_STEPS:
        message = f"kappa_be = {kappa:.4g} at epsilon={epsilon:.3g} takes {steps + filtering:,} "
        message += f"steps, above the limit of {MAX_STEPS:,}; add damping, raise epsilon, or lower "
        message += "the walk's constant"
        detail = f"{steps + filtering:.1e} above {MAX_STEPS:.0e}"
        raise SystemRefused(Outcome.DEGREE_TOO_HIGH, message, detail)
    return Costa(
        walk=walk,
        kappa=kappa,
        alpha=promise.alpha,
        definite=promise.definite is True,
        steps=steps,
        filtering=filtering,
        log_filter=float(plan.log_filter),
    )
