"""What a solve costs whose eigenvectors are kept and turned with the factors they belong to."""

from qnewton.cost.least_squares import householder_flops
from qnewton.cost.parts import Draft
from qnewton.records import Calibration, Eigenbasis, Facts, Quote

# Passes over N numbers: the root of V, its mean, λ, the quotient and its sign.
_PASSES = 5


def factor_flops(n: int, held: Eigenbasis) -> float:
    """Return the operations of adding one gradient of N numbers to its factors G Gᵀ and Gᵀ G.

    Example:
        >>> factor_flops(6, Eigenbasis(left=2, right=3))
        60.0
    """
    return 2.0 * n * sum(held.orders)


def eigenbasis_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price a solve by stored eigenvectors: into their basis, a quotient per unknown, and back.

    Of a step that turns the eigenvectors, by one orthogonal iteration of each factor, every solve
    pays its share.

    Args:
        calibration: The classical machine; needs its ``gemm`` rate where there are eigenvectors.
        facts: Facts of a system held as an :class:`~qnewton.records.Eigenbasis`.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``eigenbasis``, refused for a system that is held in another way.

    Cost:
        A few scalar operations.

    Reference:
        N. Vyas et al., arXiv:2409.11321, algorithm 3. Golub and Van Loan, Matrix Computations,
        4th ed., 5.2.2.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> facts = Facts(n=6, held=Eigenbasis(left=2, right=3, turned_every=10))
        >>> [term.name for term in eigenbasis_quote(nominal_calibration(), facts).terms]
        ['products', 'turns', 'reflections', 'quotient']
    """
    model = "4N·(l + r) into the eigenvectors and back, N quotients; 20k³/3 + 4Nk a turn"
    draft = Draft("eigenbasis", calibration, facts, dtype, model)
    held, n = facts.held, facts.n
    if not isinstance(held, Eigenbasis):
        return draft.refuse("A is not held by its eigenvectors").quote()
    orders = held.orders
    if orders:
        draft.add_products(1)
    if orders and held.turned_every is not None:
        share = len(orders) / held.turned_every
        products = sum(4.0 * k**3 + 4.0 * n * k for k in orders) / held.turned_every
        draft.add("turns", "gemm", products, calls=4 * share)
        # Q is put together from as many reflections as R takes.
        reflections = sum(2.0 * householder_flops(k, k) for k in orders) / held.turned_every
        draft.add_reflections("reflections", reflections, calls=share)
    return draft.add("quotient", "elementwise", float(_PASSES * n), calls=_PASSES).quote()
