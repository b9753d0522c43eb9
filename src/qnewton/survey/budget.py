"""How many products the condition number may cost: to its tolerance, or what it is worth."""

MOST_PRODUCTS = 4096
"""Most products where nobody gives a budget and the entries are not held."""

MOST_FORMED = 16_384
"""Largest order whose eigenvalues are all computed: 2 GiB of entries in float64."""

_MOST_BASIS = 1 << 27  # numbers of a Krylov basis: 1 GiB in float64
_ALWAYS_COMPLETE = 64
_CHEAPER_SHARE = 0.379
_FEWEST = 10
_MOST_IN_CACHE = 24


def cheaper_products(n: int) -> int:
    """Return how many products cost no more than all eigenvalues of entries of order N.

    k products and their reorthogonalisation take 2N²k + 4Nk² operations, the eigenvalues 4N³/3:
    the same at k = 0.379·N. All N up to N = 64, where neither is felt.

    Example:
        >>> cheaper_products(60), cheaper_products(600), cheaper_products(10_000)
        (60, 227, 3790)
    """
    return n if n <= _ALWAYS_COMPLETE else int(_CHEAPER_SHARE * n)


def most_products(n: int) -> int:
    """Return the most products of a run that nobody gave a budget, on an A known by products.

    All N where N ≤ 4,096; no more than 4,096, and no more than a basis of 1 GiB holds.

    Example:
        >>> most_products(300), most_products(10_000), most_products(1_000_000)
        (300, 4096, 134)
    """
    return min(n, MOST_PRODUCTS, max(_FEWEST, _MOST_BASIS // n))


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
