"""One block's Newton system A x = -g."""

from dataclasses import dataclass, replace

from torch import Tensor

from qnewton.operators.base import SymmetricOperator
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

    Raises:
        ValueError: If the right-hand side does not fit the operator.
    """

    operator: SymmetricOperator
    rhs: Tensor
    parameters: tuple[Tensor, ...] = ()
    name: str = "system"
    curvature: CurvatureRecord | None = None

    def __post_init__(self) -> None:
        if self.rhs.shape != (self.operator.n,):
            raise ValueError(
                f"the right-hand side has shape {tuple(self.rhs.shape)}, the operator needs "
                f"[{self.operator.n}]"
            )

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return self.operator.n

    def with_operator(self, operator: SymmetricOperator) -> "LinearSystem":
        """Return the same system with another (treated) operator."""
        return replace(self, operator=operator)
