"""Powers of two that keep norms in range: square 1e200 or 1e-200 and nothing is left of either.

A power of two changes no digit, so what is solved between two of them is what would have been
solved without, bit by bit, wherever that neither over- nor underflowed.
"""

import math

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator, WrappedOperator

_WINDOW = {torch.float32: 32, torch.float64: 100}
"""Largest entries between 2^-w and 2^w are left as they are: squares of A² stay in range."""

# A multiplication by more than this would need a power of two that the dtype does not hold.
_STRIDE = {torch.float32: 100, torch.float64: 900}
_TRUSTED = (1e-140, 1e140)
"""Norms between these two come from squares that float64 can hold, or that do not count."""
_AT_ONCE = 1 << 16  # entries in float64 at a time, half a megabyte, which caches hold
_ROW, _ROWS = 1 << 10, 1 << 20
_IN_RANGE = (1e-30, math.inf)
"""Sums of float32 products between these two lost nothing that counts to its range."""
# How far a vector is moved to find the size of a product that left the range.
_PROBE = {torch.float32: 60, torch.float64: 500}


def largest(tensor: Tensor) -> float:
    """Return max|t|, NaN if an entry is NaN, 0 for an empty tensor: one pass, no copy.

    Example:
        >>> largest(torch.tensor([1.0, -3.0]))
        3.0
    """
    if not tensor.numel():
        return 0.0
    lowest, highest = tensor.aminmax()
    return max(-float(lowest), float(highest))


def excess(size: float, dtype: torch.dtype) -> int:
    """Return the even e that takes ``size``·2^-e to the near end of the safe range, 0 within it.

    Even, so that square roots, as of a Cholesky factor's pivots, keep their digits too.

    Example:
        >>> excess(2.0**40, torch.float32), excess(2.0**40, torch.float64)
        (10, 0)
    """
    if size == 0.0 or not math.isfinite(size):
        return 0
    return _beyond(math.frexp(size)[1], dtype)


def _beyond(exponent: int, dtype: torch.dtype) -> int:
    window = _WINDOW[dtype]
    beyond = max(exponent - window, 0) + min(exponent + window, 0)
    return beyond + (beyond % 2) * (1 if beyond > 0 else -1)


def scaled(tensor: Tensor, exponent: int) -> Tensor:
    """Return t·2^exponent, exact unless that over- or underflows; t itself for 0.

    Example:
        >>> scaled(torch.tensor([3.0]), -2)
        tensor([0.7500])
    """
    stride = _STRIDE[tensor.dtype]
    while exponent:
        part = max(-stride, min(stride, exponent))
        tensor = tensor * 2.0**part
        exponent -= part
    return tensor


def shifted_number(value: float, exponent: int) -> float:
    """Return value·2^exponent, infinite where float64 ends.

    Example:
        >>> shifted_number(1.0, 1), shifted_number(1.0, 2000)
        (2.0, inf)
    """
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)


def into_range(tensor: Tensor) -> tuple[Tensor, int]:
    """Return t·2^-e and e, the :func:`excess` of t's largest entry."""
    exponent = excess(largest(tensor), tensor.dtype)
    return scaled(tensor, -exponent), exponent


def safe_norm(vector: Tensor) -> float:
    """Return ‖v‖₂ in float64, whatever the size of the entries; infinite only if that is.

    Example:
        >>> safe_norm(torch.tensor([3e200, 4e200], dtype=torch.float64)) / 1e200
        5.0
    """
    wide = vector.double()
    size = float(wide.norm())
    if _TRUSTED[0] < size < _TRUSTED[1]:
        return size
    near, exponent = into_range(wide)
    return shifted_number(float(near.norm()), exponent)


def norm_ratio(above: Tensor, below: Tensor) -> float:
    """Return ‖a‖₂/‖b‖₂ in float64: 0 where both vanish, infinite where only b does.

    Example:
        >>> small = torch.tensor([1e-300], dtype=torch.float64)
        >>> norm_ratio(small, 2 * small)
        0.5
    """
    above, below = above.double(), below.double()
    size, scale = float(above.norm()), float(below.norm())
    if _TRUSTED[0] < size < _TRUSTED[1] and _TRUSTED[0] < scale < _TRUSTED[1]:
        return size / scale
    (a, up), (b, down) = into_range(above), into_range(below)
    size, scale = float(a.norm()), float(b.norm())
    if scale == 0.0:
        return 0.0 if size == 0.0 else math.inf
    return shifted_number(size / scale, up - down)


class RangedOperator(WrappedOperator):
    """2^-e·A with the e that its first product shows; 0 where A·v is as large as v, or nearly.

    Where A is near an end of its dtype's range half of e is taken from the vector and half from
    the product, so that neither leaves it.

    Args:
        base: A.

    Attributes:
        exponent: e; 0 until :meth:`fix`, or a product with a vector other than 0.
        probes: Products spent on finding e: one where the first left the range, else none.

    Example:
        >>> from qnewton.operators.dense import DenseOperator
        >>> huge = RangedOperator(DenseOperator(torch.tensor([[2.0**900]], dtype=torch.float64)))
        >>> product = huge @ torch.ones(1, dtype=torch.float64)
        >>> math.log2(float(product)), huge.exponent
        (98.0, 802)
    """

    def __init__(self, base: SymmetricOperator) -> None:
        super().__init__(base)
        self.exponent = 0
        self.probes = 0
        self._found = False

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return 2^-e·A·v."""
        return self.multiply(vector) if self._found else self._first(vector)

    def dense(self) -> Tensor:
        """Return 2^-e·A, with the e of its entries where no product has been seen."""
        matrix = self.base.dense()
        if not self._found:
            self.fix(excess(largest(matrix), self.dtype))
        return scaled(matrix, -self.exponent)

    def wide_product(self, vector: Tensor) -> Tensor:
        """Return 2^-e·A·v in float64."""
        half = self.exponent // 2
        product = self.base.wide_product(scaled(vector, -half))
        return scaled(product, half - self.exponent)

    def multiply(self, vector: Tensor) -> Tensor:
        """Return 2^-e·A·v with e as it is."""
        half = self.exponent // 2
        return scaled(self.base @ scaled(vector, -half), half - self.exponent)

    def fix(self, exponent: int) -> None:
        """Set e, where it is known without a product."""
        self.exponent, self._found = exponent, True

    def _first(self, vector: Tensor) -> Tensor:
        size = largest(vector)
        product = self.base @ vector
        if size == 0.0 or not math.isfinite(size):
            return product
        grown = largest(product)
        limits = torch.finfo(self.dtype)
        if limits.tiny / limits.eps <= grown < math.inf:
            self.fix(excess(_quotient(grown, size), self.dtype))
            return scaled(product, -self.exponent)
        # Too large, too small, or nothing at all: look from where there is room.
        move = _PROBE[self.dtype] * (1 if grown < 1.0 else -1)
        self.probes += 1
        again = largest(self.base @ scaled(vector, move))
        if again == 0.0:
            return product
        if not math.isfinite(again):
            self.fix(0)
            return product
        exponent = math.frexp(again)[1] - move - math.frexp(size)[1]
        self.fix(_beyond(exponent, self.dtype))
        return self.multiply(vector)


def _quotient(above: float, below: float) -> float:
    """Return a/b, kept inside float64 by its exponent alone."""
    (m, up), (n, down) = math.frexp(above), math.frexp(below)
    return math.ldexp(m / n, max(-1000, min(1000, up - down)))


def inner(left: Tensor, right: Tensor) -> float:
    """Return xᵀy of vectors of any floating dtype, in float64, without a wider copy of either.

    Long ones in float32 are summed in float64 by rows, which keeps the digits that entries have.

    Example:
        >>> inner(torch.tensor([1e8, 1.0]), torch.tensor([1.0, 1.0]))
        100000001.0
    """
    if left.numel() <= _AT_ONCE:
        return float(left.double() @ right.double())
    if left.dtype == right.dtype == torch.float32:
        whole = left.numel() - left.numel() % _ROW
        pairs = zip(left[:whole].split(_ROWS), right[:whole].split(_ROWS), strict=True)
        sums = [torch.linalg.vecdot(x.view(-1, _ROW), y.view(-1, _ROW)) for x, y in pairs]
        found = float(torch.cat(sums).sum(dtype=torch.float64))
        if _IN_RANGE[0] < abs(found) < _IN_RANGE[1]:
            return found + inner(left[whole:], right[whole:])
    pairs = zip(left.split(_AT_ONCE), right.split(_AT_ONCE), strict=True)
    return sum(float(x.double() @ y.double()) for x, y in pairs)
