"""What may be asked of a solver, checked once for all of them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

if TYPE_CHECKING:
    from qnewton.solvers.quantum.readout import Readout

Mode = Literal["auto", "products", "eigen", "krylov"]


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """One request; a solver reads the fields that concern it.

    Attributes:
        tolerance: Largest ‖A·x - b‖/‖b‖ that counts as solved.
        max_products: Most products an iterative solver may spend. 1,000 is enough for
            conjugate gradients at κ = 10⁴ and a tolerance of 1e-6: ½√κ ln(2√κ/ε) = 956.
        start: First x of a Krylov solver, shape [N], such as the last step's; ``None`` for zero.
        epsilon: Error of the quantum solver's polynomial; ``None`` takes ``tolerance``, which
            suffices since |x P(x) - 1| ≤ ε|x| bounds the residual by ε.
        alpha: Normalisation α ≥ ‖A‖₂ of the block-encoding; ``None`` measures it.
        kappa: The promise κ_be ≥ α/σ_min; ``None`` measures it.
        mode: How the quantum solver is emulated.
        readout: How its state is measured; ``None`` for the ideal read-out.

    Raises:
        ValueError: If the tolerance is not positive or ``max_products`` is below 1.
    """

    tolerance: float = 1e-6
    max_products: int = 1000
    start: Tensor | None = None
    epsilon: float | None = None
    alpha: float | None = None
    kappa: float | None = None
    mode: Mode = "auto"
    readout: "Readout | None" = None

    def __post_init__(self) -> None:
        if not (0.0 < self.tolerance < math.inf):
            raise ValueError(f"tolerance is {self.tolerance}; it must be positive and finite")
        if self.max_products < 1:
            raise ValueError(f"max_products is {self.max_products}; it must be at least 1")
