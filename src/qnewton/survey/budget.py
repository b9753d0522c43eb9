"""How many products the condition number may cost when nobody says."""

COMPLETE_UP_TO = 512
"""Up to here Lanczos may take all N products: at most some 50 ms."""

_FEWEST = 10
_MOST_IN_CACHE = 24


def default_products(n: int) -> int:
    """Return the most products of a Lanczos run of order N that was given no budget.

    All N up to N = 512, where a run takes milliseconds; above, :func:`thrifty_products`.

    Example:
        >>> default_products(300), default_products(2_000), default_products(12_544)
        (300, 24, 112)
    """
    return n if n <= COMPLETE_UP_TO else thrifty_products(n)


def thrifty_products(n: int) -> int:
    """Return how many products cost no more than one Cholesky factorisation of order N.

    N/112: a factorisation takes N³/3 operations, a product reads N² entries, and both cores of a
    small machine do some 37 operations in the time of reading one entry from memory; a tenth is
    left for reorthogonalisation. Below N = 2,688 the matrix may come from a cache, but what else
    a product costs counts as well: N/48, at most 24. Never below 10: less than a factorisation
    from N ≈ 500 on; below that no Python loop is.

    Example:
        >>> [thrifty_products(n) for n in (20, 300, 1_000, 4_096, 12_544)]
        [10, 10, 20, 36, 112]
    """
    return min(n, max(_FEWEST, min(_MOST_IN_CACHE, n // 48), n // 112))
