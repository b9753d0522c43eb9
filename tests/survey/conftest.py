from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor


def _with_spectrum(eigenvalues: Tensor, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    n = eigenvalues.numel()
    basis = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    matrix = (basis * eigenvalues.to(torch.float64)) @ basis.mT
    return ((matrix + matrix.mT) / 2).to(dtype)


@pytest.fixture
def with_spectrum() -> Callable[..., Tensor]:
    """Return a function that makes a symmetric matrix with given eigenvalues."""
    return _with_spectrum


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Run on one thread: on matrices this small a busy machine's threads only wait (20 times)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
