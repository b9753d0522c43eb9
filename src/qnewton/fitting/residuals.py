"""The user's function of a vector, called in one way and checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Function = Callable[..., Any]


@dataclass(frozen=True)
class Rounded:
    """Values in the dtype of a fit, with the rounding of the coarsest dtype that they passed."""

    values: Tensor
    rounding: float


@dataclass(frozen=True)
class Residuals:
    """A function with its further arguments; its value is made a tensor like the parameters."""

    function: Function
    like: Tensor
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str = "fun"

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the function returns, of any shape."""
        return as_tensor(self._returned(x), self.like)

    def rounded(self, x: Tensor) -> Rounded:
        """Return the residuals, of any shape, with their rounding.

        Raises:
            ValueError: If they are whole numbers, as those of a Jacobian may well be.
        """
        return rounded(self._returned(x), self.like)

    def vector(self, x: Tensor) -> Tensor:
        """Return the residuals, shape [M]; a single one may come without a dimension.

        Raises:
            ValueError: If they have more than one dimension, are none, or are whole numbers.
        """
        return self.rounded_vector(x).values

    def rounded_vector(self, x: Tensor) -> Rounded:
        """Return the residuals, shape [M], with their rounding; raises as :meth:`vector` does."""
        found = self.rounded(x)
        value = found.values
        if value.dim() == 1 and len(value):
            return found
        if value.dim() == 0:
            return Rounded(value.reshape(1), found.rounding)
        raise ValueError(
            f"residuals have shape {list(value.shape)}, and one dimension with at least one entry "
            "is needed; flatten what the function returns"
        )

    def _returned(self, x: Tensor) -> Any:
        return something(self.function(x, *self.args, **self.kwargs), self.name)

    def tensor(self, x: np.ndarray) -> Tensor:
        """Return parameters as the function gets them."""
        return torch.from_numpy(x).to(self.like)


def something(value: Any, name: str) -> Any:
    """Return what a function returned.

    Raises:
        ValueError: If it is ``None``, which would count as not a number, or has ``None`` in it.
    """
    if value is None:
        raise ValueError(f"{name} returned None; end it with a return of its numbers")
    if isinstance(value, (list, tuple)):
        for i, each in enumerate(value):
            if each is None:
                raise ValueError(f"{name} returned None as entry {i}; return a number there")
    return value


def rounded(value: Any, like: Tensor) -> Rounded:
    """Return what a function of the parameters returns as a tensor, and how it was rounded.

    Raises:
        ValueError: For complex numbers, and for tensors and arrays of whole numbers.
    """
    if isinstance(value, Rounded):
        return value
    each = value if isinstance(value, (list, tuple)) else [value]
    rounding = max([torch.finfo(like.dtype).eps, *map(_rounding, each)])
    return Rounded(as_tensor(value, like), rounding)


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """Return a tensor, an array, a number, or a list of any of them, as a tensor with its graph."""
    if isinstance(value, Rounded):
        return value.values
    if isinstance(value, Tensor):
        found = value
    elif isinstance(value, (list, tuple)) and any(isinstance(each, Tensor) for each in value):
        found = _stacked(value, like)
    else:
        array = np.asarray(value)
        # NumPy drops imaginary parts with no more than a warning.
        found = torch.as_tensor(array if array.dtype.kind == "c" else array.astype(np.float64))
    if found.dtype == like.dtype and found.device == like.device:
        return found
    if found.is_complex():
        raise ValueError(
            f"residuals are {found.dtype}, and real ones are needed; "
            "return real and imaginary parts one after the other"
        )
    return found.to(like)


def _rounding(value: Any) -> float:
    """Return the rounding of a tensor or an array; 0 of a number, which is Python's float64."""
    dtype: Any = getattr(value, "dtype", None)
    if isinstance(dtype, torch.dtype):
        fine = torch.finfo(dtype).eps if dtype.is_floating_point else 0.0
        whole = not (dtype.is_floating_point or dtype.is_complex)
    else:
        kind = getattr(dtype, "kind", "")
        fine = float(np.finfo(dtype).eps) if kind == "f" else 0.0
        whole = kind in ("i", "u", "b")
    # Python's own whole numbers are no sign of it: a hinge may return 0 on its flat side.
    if whole and getattr(value, "ndim", 0):
        raise ValueError(
            f"residuals are whole numbers ({dtype}), which do not follow small changes of the "
            "parameters; return floating numbers"
        )
    return fine


def _stacked(values: Sequence[Any], like: Tensor) -> Tensor:
    # Entries that do not depend on the parameters are numbers, also where others are expanded.
    entries = [each if isinstance(each, Tensor) else as_tensor(each, like) for each in values]
    return torch.stack(torch.broadcast_tensors(*entries))


def parameters_of(x0: Any) -> Tensor:
    """Return the start, shape [N], in the dtype and on the device that the fit keeps.

    Raises:
        ValueError: If it is no vector, empty, not finite, or of another floating dtype.
    """
    if isinstance(x0, Tensor) and x0.dtype in (torch.float32, torch.float64):
        start = x0.detach()
    elif isinstance(x0, Tensor) and (x0.is_floating_point() or x0.is_complex()):
        raise ValueError(f"x0 is {x0.dtype}; convert it to float32 or float64")
    else:
        start = torch.as_tensor(np.asarray(x0, dtype=np.float64))
    start = start.reshape(1) if start.dim() == 0 else start
    if start.dim() != 1 or not len(start):
        raise ValueError(f"x0 has shape {list(start.shape)}, and a vector of parameters is needed")
    if not bool(start.isfinite().all()):
        raise ValueError(f"x0 is not finite: {start.tolist()}")
    return start
