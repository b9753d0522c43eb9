"""Length and sign of a solution whose direction alone is known."""

from torch import Tensor

from qnewton.operators import SymmetricOperator


def scaled_along(operator: SymmetricOperator, direction: Tensor, rhs: Tensor) -> Tensor:
    """Return s·v with the best s for A·x = b along v.

    If vᵀAv > 0, s = vᵀb/(vᵀAv), the minimiser of the quadratic model ½xᵀAx - bᵀx along v;
    otherwise s = (Av)ᵀb/‖Av‖², the least residual: the first rule would climb.

    Args:
        operator: A.
        direction: v, any length but 0, shape [N].
        rhs: b, shape [N].

    Returns:
        The scaled vector in v's dtype; 0 if A·v is 0.

    Cost: one classical product, no shots.

    Reference: FORMULAS 22.

    Example:
        >>> import torch
        >>> from qnewton.operators import DenseOperator
        >>> identity = DenseOperator(2 * torch.eye(2).double())
        >>> b = torch.tensor([4.0, 0.0]).double()
        >>> scaled_along(identity, -b, b)
        tensor([2., 0.], dtype=torch.float64)
    """
    vector, b = direction.double(), rhs.double()
    image = (operator @ direction.to(operator.dtype)).double()
    curvature = float(vector @ image)
    if curvature > 0.0:
        return direction * (float(vector @ b) / curvature)
    square = float(image @ image)
    return direction * (float(image @ b) / square if square > 0.0 else 0.0)
