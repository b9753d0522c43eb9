"""Matrices with a known spectrum, for every test of this room."""

import numpy as np
import pytest
import torch
from torch import Tensor


def rotated(eigenvalues: list[float] | Tensor, seed: int, dtype: torch.dtype) -> Tensor:
    """Return Q diag(eigenvalues) Qᵀ for a random orthogonal Q, bitwise symmetric."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    gaussian = torch.randn(len(values), len(values), generator=generator, dtype=torch.float64)
    q, _ = torch.linalg.qr(gaussian)
    matrix = (q * values) @ q.mT
    return ((matrix + matrix.mT) / 2).to(dtype)


def spread(n: int, kappa: float, *, indefinite: bool = False, seed: int = 0) -> Tensor:
    """Return n eigenvalues from 1 down to 1/κ, geometrically; about half negative on request."""
    values = (
        torch.from_numpy(np.geomspace(1.0, 1.0 / kappa, n)) if n > 1 else torch.ones(1).double()
    )
    if indefinite:
        generator = torch.Generator().manual_seed(seed)
        values = torch.where(torch.rand(n, generator=generator) < 0.5, -values, values)
    return values


def vector(n: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a Gaussian vector."""
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
        dtype
    )


class Cases:
    """The builders above, reachable from any test file of the folder."""

    rotated = staticmethod(rotated)
    spread = staticmethod(spread)
    vector = staticmethod(vector)


@pytest.fixture(scope="session")
def cases() -> type[Cases]:
    return Cases
