"""LDLᵀ factorisation: half the work of LU for symmetric matrices, and it counts their signs."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.records import Outcome
from qnewton.solvers.classical.factorization import Factorization


@dataclass(frozen=True)
class Inertia:
    """How many eigenvalues of a symmetric matrix are positive, negative and zero.

    In floating point it is the inertia of a matrix within rounding of A: an eigenvalue smaller
    than about N·ε·‖A‖ may be counted on either side.
    """

    positive: int
    negative: int
    zero: int


class LDLFactorization(Factorization):
    """P·A·Pᵀ = L·D·Lᵀ with D of 1 × 1 and 2 × 2 blocks (Bunch-Kaufman), for any symmetric A.

    Cost: N³/3 operations and N² more entries; each solve 2N². LAPACK's factorisation multiplies
    blocks less well than Cholesky's, so that it takes longer for as many operations.

    Reference: Bunch and Kaufman, Math. Comp. 31 (1977) 163; Sylvester's law of inertia.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> factors = LDLFactorization(DenseOperator(torch.diag(torch.tensor([2.0, -1.0]))))
        >>> factors.solve(torch.ones(2)).direction, factors.inertia()
        (tensor([ 0.5000, -1.0000]), Inertia(positive=1, negative=1, zero=0))
    """

    solver: ClassVar[str] = "ldl"

    def _factorize(self, matrix: Tensor) -> Outcome:
        self._factor, self._pivots, info = torch.linalg.ldl_factor_ex(matrix)
        if int(info) != 0:
            return Outcome.SINGULAR
        self.outcome = Outcome.FACTORIZED
        self.definiteness = "indefinite" if self.inertia().negative else "positive"
        return Outcome.FACTORIZED

    def _apply(self, rhs: Tensor) -> Tensor:
        return torch.linalg.ldl_solve(self._factor, self._pivots, rhs.unsqueeze(1)).squeeze(1)

    def inertia(self) -> Inertia:
        """Return the signs of A's eigenvalues, by Sylvester's law those of D's blocks.

        Raises:
            ValueError: If A could not be factorised.

        Cost: O(N).
        """
        if self.outcome is not Outcome.FACTORIZED:
            raise ValueError(f"a matrix that is {self.outcome} has no LDLᵀ inertia")
        diagonal = self._factor.diagonal().double()
        below = self._factor.diagonal(-1).double()
        # LAPACK marks both rows of a 2 × 2 block by a negative pivot; blocks do not overlap.
        paired = (self._pivots < 0).nonzero().flatten()
        first, second = paired[0::2], paired[1::2]
        single = diagonal[self._pivots > 0]
        a, b, c = diagonal[first], below[first], diagonal[second]
        middle, spread = (a + c) / 2, torch.hypot((a - c) / 2, b)
        values = torch.cat([single, middle - spread, middle + spread])
        return Inertia(int((values > 0).sum()), int((values < 0).sum()), int((values == 0).sum()))
