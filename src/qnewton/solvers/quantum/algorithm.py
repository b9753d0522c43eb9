"""What the emulator asks of a quantum algorithm."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.queries.polynomials import Array
from qnewton.solvers.solution import Computed

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Chances:
    """Probabilities of one attempt.

    Attributes:
        success: That it ends in the output state, p.
        reached: That it gets to its last stage, p at least; 1 for an attempt of one stage.
    """

    success: float
    reached: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Applied:
    """An output state before it is normalised.

    Attributes:
        image: y, float64, shape [N].
        chances: Success probability, and that of the last stage.
        products: Products with A.
        mode: How.
        resolved: Whether ``image`` is y, rather than a solution within the promise.
    """

    image: Tensor
    chances: Chances
    products: int
    mode: Computed
    resolved: bool = True


@dataclass(frozen=True, kw_only=True)
class Posed:
    """A system as an algorithm works on it, with A and b scaled into range.

    Attributes:
        solver: The algorithm with every parameter set.
        operator: 2^-e·A in float64, which ``solver.alpha`` belongs to.
        rhs: 2^-f·b in float64, shape [N].
        exponent: f - e: the solution is 2^(f-e) times what comes out.
    """

    solver: "Algorithm"
    operator: SymmetricOperator
    rhs: Tensor
    exponent: int

    @property
    def unit(self) -> Tensor:
        """b̂, the right-hand side of unit length."""
        return self.rhs / float(self.rhs.norm())


class Algorithm(ABC):
    """A quantum linear solver with every parameter set.

    Attributes:
        name: As ``emulate`` takes it.
        multiplies: Whether products with A give its output state.
        on_eigenvalues: Whether it is emulated on all eigenvalues where these are at hand.
        bounds_residual: Whether its ε bounds ‖A·x - b‖/‖b‖, and not the state's error alone.
        alpha: α of the block-encoding.
    """

    name: ClassVar[str]
    multiplies: ClassVar[bool] = True
    on_eigenvalues: ClassVar[bool] = False
    bounds_residual: ClassVar[bool] = False
    alpha: float

    @property
    @abstractmethod
    def queries(self) -> int:
        """Calls to U_A in one attempt."""

    @property
    def state_preparations(self) -> int:
        """Calls to U_b in one attempt."""
        return 1

    @property
    def error_bound(self) -> float | None:
        """Bound on the relative error of the solution where the promise holds, if there is one."""
        return None

    @property
    def krylov_degree(self) -> int | None:
        """Degree of y as a polynomial in A; ``None`` if it is none."""
        return self.queries

    @property
    def function(self) -> Function | None:
        """The f of an eigenvalue with y = f(A)b̂; ``None`` where y is no fixed function of A."""
        return None

    @abstractmethod
    def coefficients(self, values: Array, weights: Array) -> tuple[Array, Chances]:
        """Return y's coefficients in a basis where A is diagonal, from b̂'s, and the chances."""

    @abstractmethod
    def by_products(
        self, operator: SymmetricOperator, start: Tensor
    ) -> tuple[Tensor, Chances, int]:
        """Return y, the chances, and the products spent."""

    @abstractmethod
    def solution(self, image: Tensor, length: float) -> Tensor | None:
        """Return x for y and ‖b‖; ``None`` where the state does not tell its length."""

    def at_eigenvalues(self, values: Tensor) -> Tensor | None:
        """Return f at all eigenvalues, worked out once for many right-hand sides."""
        f = self.function
        return None if f is None else torch.as_tensor(f(values.cpu().numpy()), device=values.device)

    def expected_queries(self, chances: Chances) -> float:
        """Return the calls to U_A until success."""
        return self.queries / chances.success


class FunctionOfA(Algorithm):
    """An algorithm that applies one function of A, whatever the right-hand side."""

    @abstractmethod
    def factors(self, values: Array) -> Array:
        """Return f(λ) for eigenvalues λ."""

    @property
    def function(self) -> Function:
        """The f of an eigenvalue with y = f(A)b̂."""
        return self.factors

    def coefficients(self, values: Array, weights: Array) -> tuple[Array, Chances]:
        """Return y's coefficients in a basis where A is diagonal, and ‖y‖²."""
        y = self.factors(values) * weights
        return y, Chances(float(y @ y))
