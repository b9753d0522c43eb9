"""MINRES: symmetric systems of any signature through products alone, and where they curve down."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.ritz import condition_seen_by_minres
from qnewton.records import Outcome
from qnewton.solvers.classical.krylov import Rounds, solve_in_rounds
from qnewton.solvers.solution import Solution

# β_k of a Krylov space that is complete, against the norm seen: rounding of float64 vectors.
_EXHAUSTED = 1e-14


@dataclass(frozen=True)
class NegativeCurvature:
    """A direction along which xᵀAx ≤ 0, met on the way.

    Attributes:
        direction: Unit vector r̂, shape [N], float64, with bᵀr̂ > 0: a residual of MINRES.
        curvature: r̂ᵀA·r̂.
    """

    direction: Tensor
    curvature: float


def minimum_residual(
    operator: SymmetricOperator,
    rhs: Tensor,
    tolerance: float = 1e-6,
    max_products: int = 1000,
    start: Tensor | None = None,
) -> Solution:
    """Solve A·x = b for symmetric A, definite or not, without ever forming its entries.

    Vectors are kept in float64; products run in the operator's dtype.

    Args:
        operator: A, shape [N, N].
        rhs: b, shape [N], in the operator's dtype.
        tolerance: Stop at ‖b - A·x‖ ≤ tolerance·‖b‖.
        max_products: Most products to spend, all rounds together.
        start: First x, shape [N], such as the last step's; zero by default. Costs one product.

    Returns:
        The solution; ``not converged in K products`` when the budget runs out, with the last x.
        Its statistics hold the condition number seen.

    Cost: at most κ·ln(2/tolerance) products for an indefinite A and about those of conjugate
    gradients for a definite one; 15N operations beside each, and 6 vectors.

    Reference: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975) 617.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> matrix = torch.diag(torch.tensor([2.0, -1.0, 4.0]))
        >>> minimum_residual(DenseOperator(matrix), torch.ones(3)).direction
        tensor([ 0.5000, -1.0000,  0.2500])
    """
    return solve_in_rounds(_Minres, operator, rhs, tolerance, max_products, start)


class _Minres(Rounds):
    solver: ClassVar[str] = "minres"

    def run(self, rhs: Tensor) -> Tensor:
        """Return x by one run of MINRES, which starts anew in every round."""
        process = MinimumResidual(self.operator, rhs)
        while process.residual > self.target / 2 and not process.finished:
            if self.max_products == self.products:
                self.failure = Outcome.NOT_CONVERGED
                break
            process.advance()
            self.products += 1
        if self.seen is None:
            self.definiteness = "indefinite" if process.negative is not None else None
            self.seen = condition_seen_by_minres(process.alphas, process.betas)
        return process.x.to(rhs.dtype)


class MinimumResidual:
    """The iteration itself: x_k minimises ‖b - A·x‖ over the Krylov space of b.

    Args:
        operator: A, shape [N, N].
        rhs: b, shape [N].

    Attributes:
        x: x_k, shape [N], float64.
        residual: ‖b - A·x_k‖ by recurrence.
        finished: Whether the Krylov space is exhausted: more products change nothing.
        alphas: The diagonal of the tridiagonal so far.
        betas: The entries below it, one for each of ``alphas``.
        negative: The first residual r with rᵀA·r ≤ 0, free of extra products; ``None`` while
            every residual met positive curvature.

    Reference: Liu and Roosta, A Newton-MR algorithm with complexity guarantees, SIAM J. Optim.
    33 (2023), Lemma 3.1, for the curvature: r_{k-1}ᵀA r_{k-1} = -c_{k-1}γ_k⁽¹⁾‖r_{k-1}‖².
    """

    def __init__(self, operator: SymmetricOperator, rhs: Tensor) -> None:
        self._operator = operator
        b = rhs.double()
        self.residual = float(b.norm())
        self.x = torch.zeros_like(b)
        self.finished = self.residual == 0.0
        self.alphas: list[float] = []
        self.betas: list[float] = []
        self.negative: NegativeCurvature | None = None
        self._v = b / self.residual if self.residual > 0.0 else b
        self._v_before = torch.zeros_like(b)
        self._w = torch.zeros_like(b)
        self._w_before = torch.zeros_like(b)
        self._r = self._v.clone()  # r_{k-1}/‖r_{k-1}‖, for its curvature
        self._norm = self._beta = self._delta = self._epsilon = 0.0
        self._cosine, self._sine = -1.0, 0.0

    def advance(self) -> None:
        """Take one step: one product.

        A product that is not finite makes ``x`` so and ends the iteration.
        """
        v = self._v
        product = (self._operator @ v.to(self._operator.dtype)).double()
        alpha = float(v @ product)
        # Not in place: an operator may return what it was given.
        product = torch.add(product, v, alpha=-alpha).add_(self._v_before, alpha=-self._beta)
        beta = float(product.norm())
        if not (math.isfinite(alpha) and math.isfinite(beta)):
            self.x = torch.full_like(self.x, math.nan)
            self.finished = True
            return
        self.alphas.append(alpha)
        self.betas.append(beta)
        cosine, sine = self._cosine, self._sine
        above = cosine * self._delta + sine * alpha
        pivot = sine * self._delta - cosine * alpha
        if self.negative is None and cosine * pivot >= 0.0:
            self.negative = NegativeCurvature(self._r.clone(), -cosine * pivot)
        gamma = math.hypot(pivot, beta)
        self._norm = max(self._norm, abs(alpha) + beta)
        if gamma <= torch.finfo(torch.float64).eps * self._norm:
            self.finished = True  # A maps what is left of b to zero: singular and inconsistent
            return
        self._cosine, self._sine = pivot / gamma, beta / gamma
        w = torch.add(v, self._w, alpha=-above)
        w.add_(self._w_before, alpha=-self._epsilon).div_(gamma)
        self.x.add_(w, alpha=self._cosine * self.residual)
        self._w_before, self._w = self._w, w
        self._epsilon, self._delta = sine * beta, -cosine * beta
        following = product.div_(beta) if beta > 0.0 else product
        self._r.mul_(self._sine).add_(following, alpha=-self._cosine)
        self.residual *= self._sine
        self._v_before, self._v, self._beta = v, following, beta
        self.finished = beta <= _EXHAUSTED * self._norm
