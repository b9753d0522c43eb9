"""The random generators that a closure may draw from, for the same dropout masks again."""

import operator
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy
import torch


class _Source(NamedTuple):
    """One random generator: how its state is read, set and compared."""

    read: Callable[[], Any]
    write: Callable[[Any], None]
    same: Callable[[Any, Any], bool]


def _same_in_numpy(one: Any, other: Any) -> bool:
    return one[2:] == other[2:] and numpy.array_equal(one[1], other[1])


_TORCH = _Source(torch.get_rng_state, torch.set_rng_state, torch.equal)
_PYTHON = _Source(random.getstate, random.setstate, operator.eq)
# NumPy's global generator is the one that closures use.
_NUMPY = _Source(numpy.random.get_state, numpy.random.set_state, _same_in_numpy)


class RandomState:
    """The random generators' states before a step's closure ran, for the same dropout masks.

    Those of PyTorch on the CPU and on one device, of Python's ``random``, and NumPy's global one.
    A generator that the closure holds itself is not known.

    Args:
        device: The device whose generator is kept beside the CPU's.

    Example:
        >>> state = RandomState(torch.device("cpu"))
        >>> with state.replayed():
        ...     first = torch.rand(1)
        >>> torch.equal(first, torch.rand(1))
        True
    """

    def __init__(self, device: torch.device) -> None:
        sources = [_TORCH, _PYTHON, _NUMPY]
        if device.type != "cpu":
            own = torch.get_device_module(device.type)
            sources.append(
                _Source(
                    lambda: own.get_rng_state(device),
                    lambda state: own.set_rng_state(state, device),
                    torch.equal,
                )
            )
        self._kept = [(source, source.read()) for source in sources]

    def drawn_from(self) -> "RandomState":
        """Return the states of those generators alone from which something was drawn since.

        To read and to write all of them takes as long as a small network's pass.
        """
        drawn = object.__new__(RandomState)
        drawn._kept = [
            (source, state) for source, state in self._kept if not source.same(state, source.read())
        ]
        return drawn

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Return a context that begins from these states, and after which nothing was drawn."""
        now = [(source, source.read()) for source, _ in self._kept]
        self.put_back()
        try:
            yield
        finally:
            for source, state in now:
                source.write(state)

    def put_back(self) -> None:
        """Go back to these states."""
        for source, state in self._kept:
            source.write(state)
