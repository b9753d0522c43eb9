"""LU factorisation, and the explicit inverse the paper compares quantum solvers with."""

from typing import ClassVar

import torch
from torch import Tensor

from qnewton.records import Outcome
from qnewton.solvers.classical.factorization import Factorization


class LUFactorization(Factorization):
    """P·A = L·U with partial pivoting; any nonsingular matrix, definite or not.

    Raises:
        Nothing: a zero pivot gives the outcome ``singular``. A pivot that is only rounding
        noise passes here; the residual of the solve then tells.

    Cost: 2N³/3 operations and N² more entries; each solve 2N².

    Reference: Golub and Van Loan, Matrix Computations, 4th ed., section 3.4.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> swap = DenseOperator(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> LUFactorization(swap).solve(torch.tensor([1.0, 2.0])).direction
        tensor([2., 1.])
    """

    solver: ClassVar[str] = "lu"

    def _factorize(self, matrix: Tensor) -> Outcome:
        self._lu, self._pivots, info = torch.linalg.lu_factor_ex(matrix)
        return Outcome.FACTORIZED if int(info) == 0 else Outcome.SINGULAR

    def _apply(self, rhs: Tensor) -> Tensor:
        return torch.linalg.lu_solve(self._lu, self._pivots, rhs.unsqueeze(1)).squeeze(1)


class LUInverse(Factorization):
    """A⁻¹ formed entry by entry through LU, then multiplied: the paper's classical baseline.

    It costs three times the LU solve and is less accurate; it is here because the paper's
    prices are of this.

    Cost: 2N³ operations and N² more entries; each solve 2N².

    Reference: Q-Newton, arXiv:2405.00252, section IV-C.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> LUInverse(DenseOperator(torch.eye(2) * 2)).solve(torch.ones(2)).direction
        tensor([0.5000, 0.5000])
    """

    solver: ClassVar[str] = "lu_inverse"

    def _factorize(self, matrix: Tensor) -> Outcome:
        self._inverse, info = torch.linalg.inv_ex(matrix)
        return Outcome.FACTORIZED if int(info) == 0 else Outcome.SINGULAR

    def _apply(self, rhs: Tensor) -> Tensor:
        return self._inverse @ rhs
