"""What a classical machine solves of a system before the quantum solver gets the rest."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Deflation:
    """What was solved classically before the quantum solver got the rest.

    Attributes:
        eigenpairs: Pairs k that were taken out.
        products: Products with A that finding them took.
        share: Length of b in the space of their eigenvectors, as a share of ‖b‖.
        measured_seconds: Wall-clock seconds that it took.
    """

    eigenpairs: int
    products: int
    share: float
    measured_seconds: float
