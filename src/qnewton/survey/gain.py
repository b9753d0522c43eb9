"""How much longer a solution is than the shortest that its matrix allows."""

from torch import Tensor

from qnewton.operators.scaling import norm_ratio
from qnewton.records import Facts


def solution_gain(facts: Facts, rhs: Tensor, solution: Tensor) -> float | None:
    """Return ‖x‖·‖A‖₂/‖b‖, at least 1; ``None`` where ‖A‖₂ was not measured or b is zero.

    Args:
        facts: Facts of A.
        rhs: b, shape [N].
        solution: x, shape [N].

    Cost: two passes over N numbers.

    Example:
        >>> import torch
        >>> from qnewton.records import Spectrum
        >>> facts = Facts(n=2, spectrum=Spectrum(norm=4.0))
        >>> solution_gain(facts, torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.5]))
        2.0
    """
    norm = facts.spectrum.norm
    if not norm or not rhs.any():
        return None
    gain = float(norm_ratio(solution.double(), rhs.double())) * norm
    # A norm that was measured from below may leave it a rounding below 1.
    return max(1.0, gain) if gain < float("inf") else None
