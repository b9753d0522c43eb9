"""The x that a Krylov solver starts from, in the range of numbers in which it solves."""

import torch
from torch import Tensor

from qnewton.operators import RangedOperator
from qnewton.operators.scaling import into_range, norm_ratio, scaled


class FirstGuess:
    """A first x of A·x = b, for the solver of 2^-e·A·y = 2^-f·b.

    Args:
        operator: 2^-e·A, whose e the guess may be the first to show.
        start: x, shape [N].
        exponent: f.
    """

    def __init__(self, operator: RangedOperator, start: Tensor, exponent: int) -> None:
        self._operator, self._start, self._exponent = operator, start, exponent

    def left_of(self, rhs: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return y = 2^(e-f)·x and what it leaves of ``rhs`` = 2^-f·b: one product.

        A y that the dtype cannot hold, or beside which b is rounding, is no guess: ``None``, and
        all of ``rhs`` is left.
        """
        near, size = into_range(self._start)
        image = self._operator @ near
        move = self._operator.exponent - self._exponent
        first = scaled(self._start, move)
        left = rhs - scaled(image, move + size)
        useful = norm_ratio(left, rhs) <= 1.0 / torch.finfo(rhs.dtype).eps
        return (first, left) if useful else (None, rhs)
