"""What comes out of a quantum solve: a state, the shots that read it, and the solution's length."""

import math
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qnewton.operators import RangedOperator, SymmetricOperator
from qnewton.operators.scaling import into_range, largest, scaled
from qnewton.records import Outcome, QuantumStats
from qnewton.records.messages import check
from qnewton.solvers.quantum.outcomes import DrawnOutcomes, Outcomes
from qnewton.solvers.quantum.promise import SystemRefused
from qnewton.solvers.solution import Computed

Method = Literal["amplitude", "swap", "hadamard"]
Array = NDArray[np.float64]

TWO_STAGE = (3.0, 8.0)
"""Two-stage tomography takes (3 + 8/√N)·N/(2ε²) shots: see :func:`measure`."""


@dataclass(frozen=True, kw_only=True)
class Readout:
    """How a state is measured.

    Attributes:
        method: ``amplitude``: magnitudes from measuring the state, then signs from interfering it
            with them, half of the shots each. ``hadamard``: one Hadamard test per component.
            ``swap``: one SWAP test per component, which cannot tell any sign.
        shots: Shots in all; each takes a fresh state.
        tolerance: Instead of shots: the ℓ2 error aimed at, in (0, 1).
        seed: Seeds the outcomes.

    Raises:
        ValueError: If the method is unknown, or not exactly one of shots and tolerance is given
            within its limits.

    Example:
        >>> Readout(method="amplitude", tolerance=0.1).shots_for(1000)
        162650
    """

    method: Method = "amplitude"
    shots: int | None = None
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            known = ", ".join(get_args(Method))
            raise ValueError(f"read-out {self.method!r} is not known; known: {known}")
        if (self.shots is None) == (self.tolerance is None):
            raise ValueError("give a read-out either shots or a tolerance")
        if self.shots is not None:
            check("shots", self.shots, "must be from 2 to 2**62", 2 <= self.shots < 2**62)
        elif self.tolerance is not None:
            holds = 0.0 < self.tolerance < 1.0
            check("tolerance", self.tolerance, "must lie between 0 and 1", holds)

    def shots_for(self, n: int) -> int:
        """Return the shots in all for N components.

        From a tolerance ε: (3 + 8/√N)·N/(2ε²) by amplitudes, which fewer than 1 in 20 read-outs of
        the worst vector miss (proven: 252·N ln N/ε²); N²/ε² by Hadamard tests, since each
        component's variance is below 1/shots; N³/ε² by SWAP tests, which see x² only.
        """
        if self.shots is not None:
            return self.shots
        assert self.tolerance is not None
        if self.method == "amplitude":
            factor = TWO_STAGE[0] + TWO_STAGE[1] / math.sqrt(n)
            return max(2, math.ceil(factor * n / (2.0 * self.tolerance**2)))
        return max(2, math.ceil(n ** (2 if self.method == "hadamard" else 3) / self.tolerance**2))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was read of a state.

    Attributes:
        vector: The estimate as a unit vector, float64, shape [N]; all entries 0 or more where
            the method sees no signs.
        method: How.
        shots: Shots spent, each with a fresh state.
        signs_known: Whether the method tells signs.
    """

    vector: Tensor = field(repr=False)
    method: Method
    shots: int
    signs_known: bool


def measure(state: Tensor, readout: Readout) -> Measurement:
    """Return what measuring a real unit state gives, drawn from the exact distributions.

    ``amplitude``: n/2 shots on the state give counts c_j ~ multinomial(x_j²) and magnitudes
    a_j = √(c_j/Σc); n/2 more on (|0⟩x + |1⟩a)/√2 after a Hadamard gate give outcomes (0, j) with
    probability ((x_j + a_j)/2)² and (1, j) with ((x_j - a_j)/2)²; the larger count is the sign,
    and a component of equal counts is read as 0. With m = n/2 shots per stage, the squared error is
    Σ_j e(μ_j)/m, μ_j = m·x_j², for Poisson counts; e is at most 0.698, at μ = 1.5, so that the
    mean squared error of *any* vector is at most 2.79·N/(4m): the worst is a spike over a flat
    floor of μ = 1.5. (With ties read as plus it is 5.76 where all components are negative.) That
    3 + 8/√N covers multinomial counts, the scaling to unit length and 19 of 20 read-outs is
    simulated, not proven.
    ``hadamard``: P(0) = (1 + x_j)/2 for each j. ``swap``: P(0) = (1 + x_j²)/2.

    Args:
        state: Real unit vector, shape [N].
        readout: How to measure.

    Returns:
        The estimate, scaled to unit length.

    Raises:
        ValueError: If there are fewer shots than components, where each is tested. Its subclass
            ``SystemRefused`` if the outcomes hold no information (all estimates zero).

    Cost: N binomial draws per stage, whatever the number of shots.

    Reference: Kerenidis and Prakash, arXiv:1812.00054 (two-stage tomography); Buhrman et al.,
    quant-ph/0102001 (SWAP test).

    Example:
        >>> state = torch.tensor([0.6, -0.8], dtype=torch.float64)
        >>> read = measure(state, Readout(shots=10**12))
        >>> bool((read.vector - state).norm() < 1e-5)
        True
        >>> measure(state, Readout(method="swap", shots=10**12)).vector.sign()
        tensor([1., 1.], dtype=torch.float64)
    """
    generator = np.random.default_rng(readout.seed)
    return read(DrawnOutcomes(state, generator), state, readout)


def read(outcomes: Outcomes, state: Tensor, readout: Readout) -> Measurement:
    """Return the vector that outcomes tell, by the estimators of :func:`measure`.

    Args:
        outcomes: What is measured.
        state: Says how many components there are, and where the estimate is to be.
        readout: How to measure.

    Raises:
        ValueError: As :func:`measure`.
    """
    n = len(state)
    shots = readout.shots_for(n)
    if readout.method == "amplitude":
        estimate = _two_stages(outcomes, shots)
    else:
        each = shots // n
        if each < 1:
            way_out = f"give at least {n}, or use the amplitude read-out"
            raise ValueError(f"{shots} shots cannot test {n} components one by one; {way_out}")
        shots = each * n
        swap = readout.method == "swap"
        zeros = outcomes.swap_tests(each) if swap else outcomes.hadamard_tests(each)
        estimate = 2.0 * zeros / each - 1.0
        if swap:
            estimate = np.sqrt(np.maximum(estimate, 0.0))
    size = float(np.linalg.norm(estimate))
    if size == 0.0:
        message = f"{shots} shots told nothing of the state; give more"
        raise SystemRefused(Outcome.NOTHING_READ, message)
    return Measurement(
        vector=torch.as_tensor(estimate / size, device=state.device),
        method=readout.method,
        shots=shots,
        signs_known=readout.method != "swap",
    )


def _two_stages(outcomes: Outcomes, shots: int) -> Array:
    first = shots // 2
    magnitudes = np.sqrt(outcomes.components(first) / first)
    plus, minus = outcomes.interference(magnitudes, shots - first)
    # Equal counts say nothing of a sign: a guess would cost four times the component's square.
    return np.sign(plus - minus) * magnitudes


_TIMES_LEAST = 2.0  # what the minimiser's residual may be, of the least along the same line


@dataclass(frozen=True, kw_only=True)
class QuantumSolution(QuantumStats):
    """The output of an emulated quantum linear solver, and what it would have cost.

    The figures that a step record keeps are those of :class:`~qnewton.records.QuantumStats`:
    ``expected_queries`` are ``queries / p`` when attempts are repeated, for Dalzell with an unknown
    norm less, since only a success of the reflection is projected; ``degree`` is the polynomial's,
    for HHL that of the evolutions together; ``resolved`` says whether ``state`` is the algorithm's
    output state. If not, it is only a solution within the promise: the error the algorithm itself
    would make is not in it.

    Attributes:
        direction: x with A·x ≈ rhs, shape [N], in the matrix's dtype. QSVT and HHL: the state with
            the length that the normalisation gives it. Dalzell, or a read-out with shots: along
            the state or what was measured of it, with length and sign from one classical product.
        state: The normalised output state, shape [N], float64.
        state_preparations: Calls to U_b in one attempt.
        amplified_queries: Expected calls with the best amplitude amplification for this p.
        error_bound: Bound on ‖direction - A⁻¹rhs‖/‖A⁻¹rhs‖ of QSVT before read-out, provided the
            promise holds (for exact arithmetic); ``None`` when the promise is known to be broken
            and for the other algorithms, which have no such bound here.
        mode: How it was computed.
        products: Products with A that the emulation itself spent.
        measurement: What was read of the state; ``None`` for the ideal read-out.
    """

    direction: Tensor = field(repr=False)
    state: Tensor = field(repr=False)
    state_preparations: int
    amplified_queries: float
    error_bound: float | None
    mode: Computed
    products: int
    measurement: Measurement | None = field(default=None, repr=False)

    def stats(self) -> QuantumStats:
        """Return the figures a step record keeps."""
        return QuantumStats(**{f.name: getattr(self, f.name) for f in fields(QuantumStats)})


def scaled_along(
    operator: SymmetricOperator, direction: Tensor, rhs: Tensor, kappa: float | None = None
) -> Tensor:
    """Return s·v with the best safe s for A·x = b along v.

    If vᵀAv > 0, s₁ = vᵀb/(vᵀAv) minimises the quadratic model ½xᵀAx - bᵀx along v. It is taken if
    its residual is at most L·‖b‖; otherwise s₂ = (Av)ᵀb/‖Av‖², the least residual, never above ‖b‖.
    If A is definite, Kantorovich gives vᵀAv ≥ ‖v‖‖Av‖·2√κ/(κ+1), so that the residual of s₁ is at
    most L = 1 + (κ+1)/(2√κ) times ‖b‖: s₁ is never refused there. If A is indefinite, vᵀAv may be
    as small as you like, and s₁ as large: L bounds the step, ‖A·s₁v‖ ≤ (L+1)·‖b‖. Without a bound
    on κ, s₁ is also refused where it leaves more than twice the least residual. For a v within ε
    of the solution's direction, the error is then at most 2κε of the solution's length.

    Args:
        operator: A.
        direction: v, any length but 0, shape [N].
        rhs: b, shape [N].
        kappa: A bound on A's condition number, where A may be definite; ``None`` where it is not
            known, or A is indefinite: then L = 1, and the step is no worse than none.

    Returns:
        The scaled vector in v's dtype; 0 if A·v is 0.

    Cost: one classical product, no shots.

    Reference: Kantorovich 1948, in the form of Strang 1960.

    Example:
        >>> import torch
        >>> from qnewton.operators import DenseOperator
        >>> identity = DenseOperator(2 * torch.eye(2).double())
        >>> b = torch.tensor([4.0, 0.0]).double()
        >>> scaled_along(identity, -b, b)
        tensor([2., 0.], dtype=torch.float64)
        >>> saddle = DenseOperator(torch.diag(torch.tensor([1.0, -1.0])).double())
        >>> scaled_along(saddle, torch.tensor([1.0, 0.999]).double(), b)
        tensor([2.0020, 2.0000], dtype=torch.float64)
    """
    # The length of v is nobody's; with those of A and b its squares could leave the range.
    vector = direction.double()
    vector = scaled(vector, -math.frexp(largest(vector))[1])
    ranged, (b, down) = RangedOperator(operator), into_range(rhs.double())
    image = (ranged @ vector.to(operator.dtype)).double()
    best = _best_length(vector, image, b, kappa)
    return scaled(vector * best, down - ranged.exponent).to(direction.dtype)


def _best_length(v: Tensor, av: Tensor, b: Tensor, kappa: float | None) -> float:
    curvature, square = float(v @ av), float(av @ av)
    if not 0.0 < square < math.inf:
        return 0.0
    length, norm = float(av @ b) / square, float(b.norm())
    if curvature > 0.0:
        minimiser = float(v @ b) / curvature
        if kappa is None:
            limit = min(norm, _TIMES_LEAST * float((b - length * av).norm()))
        else:
            limit = norm * (1.0 + (kappa + 1.0) / (2.0 * math.sqrt(kappa)))
        residual = float((b - minimiser * av).norm())
        # A few roundings: an exact step has residual 0, whichever length it takes.
        if residual <= limit + 1e-12 * norm:
            length = minimiser
    return length
