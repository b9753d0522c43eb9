"""What the residuals of a sum of squares do along a step beyond what their Jacobian says."""

from dataclasses import dataclass

from torch import Tensor

from qnewton.curvature.residuals import SumOfSquares, sum_of_squares
from qnewton.curvature.routes import Refused


@dataclass(frozen=True, eq=False)
class ResidualChange:
    """The residuals r of a loss Σ ρ(r_i) at one point, to be compared with those at another.

    It keeps no graph.

    Attributes:
        rows: √D J with J = ∂r/∂θ and D = diag ρ″(r_i), shape [M, N].
        weights: √D, shape [M].
        residuals: r, shape [M].
    """

    rows: Tensor
    weights: Tensor
    residuals: Tensor

    @classmethod
    def of(cls, sums: SumOfSquares, rows: Tensor) -> "ResidualChange":
        """Return the residuals of a loss with their Jacobian, √D J."""
        return cls(rows, sums.curvature.sqrt(), sums.values)

    def beyond_linear(self, root: Tensor, step: Tensor) -> Tensor | None:
        """Return √D(r(θ + s) - r(θ) - Js), shape [M]: half the second derivative along s.

        Args:
            root: The live loss at θ + s.
            step: s, shape [N].

        Returns:
            Not finite where the residuals there are not; ``None`` if the graph does not tell them.

        Cost: a walk over the operations between loss and residuals, and a product with J.
        """
        sums = sum_of_squares(root)
        if isinstance(sums, Refused):
            return None
        there = sums.values
        if there.shape != self.residuals.shape:
            return None
        return self.weights * (there - self.residuals) - self.rows @ step
