"""One block's Newton system A x = -g."""

from dataclasses import dataclass, replace

from torch import Tensor

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.low_rank import LowRankOperator
from qnewton.records import CurvatureRecord


@dataclass(frozen=True)
class LinearSystem:
    """A symmetric system and the parameters its solution moves.

    Attributes:
        operator: The matrix A, shape [N, N].
        rhs: The right-hand side -g, shape [N].
        parameters: The parameter tensors of the block, flattened row-major and concatenated in
            this order to give the N unknowns. Empty for a system that moves no parameters.
        name: The block's name.
        curvature: How the operator was obtained, when it is a curvature.
        target: t of shape [k] with rhs = U·t, where A = U Uᵀ + λI: the system is then that of
            min ‖Uᵀx - t‖² + λ‖x‖², and t says more of x than its product with U does; for a sum
            of squares, minus the residuals. ``None`` where nobody knows.

    Raises:
        ValueError: If the right-hand side or the target does not fit the operator.
    """

    operator: SymmetricOperator
    rhs: Tensor
    parameters: tuple[Tensor, ...] = ()
    name: str = "system"
    curvature: CurvatureRecord | None = None
    target: Tensor | None = None

    def __post_init__(self) -> None:
        if self.rhs.shape != (self.operator.n,):
            raise ValueError(
                f"the right-hand side has shape {tuple(self.rhs.shape)}, the operator needs "
                f"[{self.operator.n}]"
            )
        if self.target is None or not isinstance(self.operator, LowRankOperator):
            return
        columns = self.operator.factor.shape[1]
        if self.target.shape != (columns,):
            found = f"the target has shape {tuple(self.target.shape)}"
            raise ValueError(f"{found}, the factor's columns need [{columns}]")

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return self.operator.n

    def with_rhs(self, rhs: Tensor) -> "LinearSystem":
        """Return a system of the same matrix with another right-hand side, of no known target."""
        return replace(self, rhs=rhs, target=None)

    def with_target(self, target: Tensor) -> "LinearSystem":
        """Return least squares of the same matrix U Uᵀ + λI with another target t."""
        assert isinstance(self.operator, LowRankOperator)
        return replace(self, rhs=self.operator.factor @ target, target=target)

    def with_operator(self, operator: SymmetricOperator) -> "LinearSystem":
        """Return the same system with another (treated) operator."""
        return replace(self, operator=operator)
