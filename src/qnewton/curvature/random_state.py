"""The random generators that a closure draws from, to let it draw the same numbers again."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch


class RandomState:
    """The random generators' states before a step's closure ran, for the same dropout masks.

    Those of PyTorch on the CPU and on one device, of Python's ``random``, and NumPy's global one.
    A generator that the closure holds itself is not known.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._own = None if device.type == "cpu" else self._module().get_rng_state(device)
        self._python = random.getstate()
        self._numpy = numpy.random.get_state()  # noqa: NPY002, the one closures use

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Return a context that begins from these states, and after which nothing was drawn."""
        now = RandomState(self._device)
        self.put_back()
        try:
            yield
        finally:
            now.put_back()

    def put_back(self) -> None:
        """Go back to these states."""
        torch.set_rng_state(self._cpu)
        if self._own is not None:
            self._module().set_rng_state(self._own, self._device)
        random.setstate(self._python)
        numpy.random.set_state(self._numpy)  # noqa: NPY002

    def _module(self) -> Any:
        return torch.get_device_module(self._device.type)
