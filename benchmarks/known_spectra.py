"""Dense float32 matrices whose eigenvalues are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_REFLECTIONS = 4


@dataclass(frozen=True)
class KnownSpectrum:
    """A matrix and its condition number.

    Attributes:
        name: Order and spectrum in words.
        matrix: Float32, shape [N, N].
        condition: max|λ|/min|λ| before its entries were rounded.
    """

    name: str
    matrix: Tensor
    condition: float


def known_spectra(sizes: Sequence[int]) -> Iterator[KnownSpectrum]:
    """Yield a definite, a low-rank, two log-spaced and an indefinite matrix of each order."""
    for n in sizes:
        u = torch.linspace(0, 1, n, dtype=torch.float64)
        spectra = {
            "even, κ = 10": 0.1 + 0.9 * u,
            "damped low rank, κ = 100": 1 + torch.cat([99 * 10 ** (-3 * u[:64]), 1e-3 * u[64:]]),
            "log-spaced, κ = 1e3": 10 ** (-3 * u),
            "log-spaced, κ = 1e6": 10 ** (-6 * u),
            "indefinite, κ = 50": torch.where(u < 0.5, -0.02 - u, 0.02 + 0.98 * u),
        }
        for name, eigenvalues in spectra.items():
            size = eigenvalues.abs()
            condition = float(size.max() / size.min())
            yield KnownSpectrum(f"N = {n:,}, {name}", rotated(eigenvalues), condition)


def rotated(eigenvalues: Tensor) -> Tensor:
    """Return QΛQᵀ in float32, Q a product of random reflections: O(N²), where QR takes N³."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.diag(eigenvalues)
    for _ in range(_REFLECTIONS):
        normal = torch.randn(len(matrix), generator=generator, dtype=torch.float64)
        normal /= normal.norm()
        # (I - 2vvᵀ) A (I - 2vvᵀ) = A - vwᵀ - wvᵀ with w = 2(Av - (vᵀAv)v).
        product = matrix @ normal
        other = 2 * (product - normal.dot(product) * normal)
        matrix -= torch.outer(normal, other) + torch.outer(other, normal)
    return ((matrix + matrix.mT) / 2).float()
