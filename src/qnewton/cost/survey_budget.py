"""How many Lanczos products one factorisation is worth on a calibrated machine."""

import math

from qnewton.cost.kernels import cubic_work, matvec_work, price
from qnewton.records import Calibration

FEWEST_PRODUCTS = 16
"""Granted whatever they cost: about a millisecond."""

# Kernels that one step of the recurrence starts, and that a look at its tridiagonal is worth.
_STARTS_PER_STEP = 12
_STARTS_PER_RUN = 60


def lanczos_products(calibration: Calibration, n: int, dtype: str = "float32") -> int | None:
    """Return the most Lanczos products that cost no more than one dense Cholesky factorisation.

    The largest k with k·(N² entries read + 12 kernel starts) + N·k² float64 entries read
    + 60 starts ≤ Cholesky of N unknowns; N·k² is what reorthogonalisation reads. At least 16,
    at most N.

    Args:
        calibration: The machine's constants: ``cholesky`` and ``matvec``.
        n: Unknowns N.
        dtype: dtype of the matrix; the Krylov basis is float64 in any case.

    Returns:
        Products; ``None`` if the calibration lacks a rate.

    Raises:
        ValueError: If N is below 1.

    Cost:
        A few scalar operations.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> [lanczos_products(nominal_calibration(), n) for n in (20, 1_000, 12_544)]
        [16, 20, 299]
    """
    factor = calibration.fit("cholesky", dtype)
    product = calibration.fit("matvec", dtype)
    if factor is None or product is None:
        return None
    basis = calibration.fit("matvec", "float64") or product
    seconds = price(calibration, "cholesky", cubic_work(n), dtype)
    seconds -= _STARTS_PER_RUN * product.overhead_s
    step = price(calibration, "matvec", matvec_work(n), dtype, calls=_STARTS_PER_STEP)
    growth = n * basis.seconds_per_unit
    affordable = 0
    if seconds > 0 and step > 0:
        # The positive root of growth·k² + step·k = seconds, without cancellation.
        root = math.sqrt(step**2 + 4 * growth * seconds)
        affordable = math.floor(2 * seconds / (step + root))
    return min(n, max(FEWEST_PRODUCTS, affordable))
