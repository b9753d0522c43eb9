"""How many products the condition number may cost when nobody says."""

COMPLETE_UP_TO = 512
"""Up to here Lanczos may take all N products: at most some 50 ms."""

_ROWS_PER_PRODUCT = 40
_FEWEST = 32


def default_products(n: int) -> int:
    """Return the most products of a Lanczos run of order N that nobody gave a budget.

    All N up to N = 512; above, N/40 and at least 32. A factorisation takes N³/3 operations, a
    product reads N² entries: at 15 operations in the time of reading one entry, Cholesky's time
    is that of N/45 products from memory, and of more where the matrix fits a cache; N/40 products
    and their 2Nk² operations of reorthogonalisation come to about one Cholesky factorisation. A
    caller that knows its machine passes ``max_products``
    (:func:`qnewton.cost.lanczos_products`).

    Example:
        >>> default_products(100), default_products(2_000), default_products(12_544)
        (100, 50, 313)
    """
    return n if n <= COMPLETE_UP_TO else max(_FEWEST, n // _ROWS_PER_PRODUCT)
