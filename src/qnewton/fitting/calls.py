"""A user's function, called with tensors or, where it computes with NumPy, with arrays."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

# What NumPy's functions raise for tensors with a graph, and what methods of arrays do for tensors.
_FOREIGN = (RuntimeError, TypeError, AttributeError, DeprecationWarning)

# NumPy's functions still take tensors without a graph, and say that they will not for long.
_WRAPPED = "__array_wrap__"


@dataclass
class Called:
    """A function; its first call that succeeds settles whether it gets tensors or arrays.

    Attributes:
        function: The user's.
        arrays: Whether it gets arrays; ``None`` until that is settled.
    """

    function: Callable[..., Any]
    arrays: bool | None = None

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Return what the function returns."""
        if self.arrays is None:
            return self._settled(inputs, named)
        return self.function(*(map(_array, inputs) if self.arrays else inputs), **named)

    def _settled(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", _WRAPPED, DeprecationWarning)
                found = self.function(*inputs, **named)
        except _FOREIGN as error:
            return self._by_arrays(inputs, named, error)
        self.arrays = False
        return found

    def _by_arrays(self, inputs: tuple[Any, ...], named: dict[str, Any], error: Exception) -> Any:
        try:
            found = self.function(*map(_array, inputs), **named)
        except _FOREIGN as other:
            if not isinstance(error, DeprecationWarning):
                raise error from other
            # Torch's functions and NumPy's in one formula: it runs with tensors, and NumPy warns.
            self.arrays = False
            return self.function(*inputs, **named)
        self.arrays = True
        return found


def called(function: Callable[..., Any]) -> Called:
    """Return a function that is called with what it computes with."""
    return function if isinstance(function, Called) else Called(function)


def _array(value: Any) -> Any:
    """Return a tensor as an array, one without dimensions as NumPy's number."""
    return value.detach().cpu().numpy()[()] if isinstance(value, Tensor) else value
