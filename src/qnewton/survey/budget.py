"""How many products the condition number may cost when nobody says."""

COMPLETE_UP_TO = 512
"""Up to here Lanczos may take all N products: at most some 50 ms."""

_FEWEST = 16
_MOST_IN_CACHE = 48


def default_products(n: int) -> int:
    """Return the most products of a Lanczos run of order N that was given no budget.

    All N up to N = 512, where a run takes milliseconds; above, :func:`thrifty_products`.

    Example:
        >>> default_products(300), default_products(2_000), default_products(12_544)
        (300, 48, 196)
    """
    return n if n <= COMPLETE_UP_TO else thrifty_products(n)


def thrifty_products(n: int) -> int:
    """Return how many products cost no more than one Cholesky factorisation of order N.

    N/64: a factorisation takes N³/3 operations, a product reads N² entries, and a processor of a
    few cores does some 15 operations in the time of reading one entry from memory, so that
    Cholesky's time is that of N/45 products; the rest is for reorthogonalisation. Where the
    matrix fits a cache, below N = 3,072, N/24 but at most 48. Never below 16, about a
    millisecond: less than a factorisation from N ≈ 500 on; below that no Python loop is.

    Example:
        >>> [thrifty_products(n) for n in (20, 300, 1_000, 4_096, 12_544)]
        [16, 16, 41, 64, 196]
    """
    return min(n, max(_FEWEST, min(_MOST_IN_CACHE, n // 24), n // 64))
