"""What a sparse factorisation costs at most, where its zeros lie as on a mesh or nobody knows."""

import math

from qnewton.records.messages import check

# Of a box whose longest side is twice the shortest at most: nodes of its surface and of the cut
# through its longest side, over m^((D-1)/D) for its m nodes.
_SURFACE_AND_CUT = {1: 3.0, 2: 5.25, 3: 7.35}


def filled_envelope(n: int) -> float:
    """Return Σ c_j² of a factor that fills: N(N+1)(2N+1)/6, whatever the ordering.

    Example:
        >>> filled_envelope(3)
        14.0
    """
    return n * (n + 1.0) * (2.0 * n + 1.0) / 6.0


def mesh_envelope(n: int, sparsity: int, dimensions: int) -> float:
    """Bound Σ c_j² over the columns of a factor of a matrix whose zeros are those of a mesh.

    The least of three bounds, with p = (D-1)/D and r the reach of a row in nodes. Band: N·(w + 1)²,
    w = r·(1 + N^(1/D) + … + N^p). Nested dissection: a box of m nodes is cut through its longest
    side by r·m^p nodes, whose columns hold the box's surface and the cut, K·r·m^p; over all boxes
    N·K²·r³·Σ m^(3p-1), which is 94·r³·N^1.5 in two dimensions and 108·r³·N² in three. And a factor
    that fills.

    Args:
        n: Nodes N of the mesh, in a cube.
        sparsity: Most entries in a row, d; r is the least with (2r+1)^D ≥ d.
        dimensions: D, from 1 to 3.

    Raises:
        ValueError: If an argument is out of range.

    Cost: a few scalar operations.

    Reference: A. George, Nested dissection of a regular finite element mesh, SIAM J. Numer. Anal.
    10 (1973) 345, for the method; the constants are derived here.

    Example:
        >>> f"{mesh_envelope(10**6, 5, 2):.3g} {mesh_envelope(10**6, 7, 3):.3g}"
        '9.4e+10 1.02e+14'
    """
    check("n", n, "must be at least 1", n >= 1)
    check("sparsity", sparsity, "must be at least 1", sparsity >= 1)
    check("dimensions", dimensions, "must be 1, 2 or 3", dimensions in _SURFACE_AND_CUT)
    reach = math.ceil((sparsity ** (1.0 / dimensions) - 1.0) / 2.0 - 1e-9)
    power = (dimensions - 1.0) / dimensions
    width = reach * math.fsum(n ** (axis / dimensions) for axis in range(dimensions))
    band = n * (width + 1.0) ** 2
    levels = max(1, math.ceil(math.log2(n)))
    boxes = math.fsum((n / 2.0**level) ** (3.0 * power - 1.0) for level in range(levels))
    dissected = n * _SURFACE_AND_CUT[dimensions] ** 2 * max(reach, 1) ** 3 * boxes
    return min(band, dissected, filled_envelope(n))
