"""The systems of ``route_choice``: what they are, and how they looked at earlier steps.

``seen`` are the kinds that ``qnewton calibrate`` times kernels on: noise around 2·I, random
factors, scattered and banded entries, networks of one hidden layer.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from qnewton.curvature import Curvature, Kind
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    SparseOperator,
)
from qnewton.treatment import damp

# A step moves every entry by about one percent.
_MOVED = 0.01


@dataclass(frozen=True)
class Case:
    """One system, and its forerunners.

    Attributes:
        kind: In words.
        n: Unknowns.
        dtype: Of the entries.
        seen: Whether calibration times kernels on this kind.
        build: Makes the system of a step; two differ by about one percent in every entry.
    """

    kind: str
    n: int
    dtype: torch.dtype
    seen: bool
    build: Callable[[int], LinearSystem]

    @property
    def name(self) -> str:
        """Kind, size and dtype."""
        return f"{self.kind}, N = {self.n:,}, {str(self.dtype).removeprefix('torch.')}"


def cases() -> Iterator[Case]:
    """Yield every system, kind by kind, small to large."""
    single, double = torch.float32, torch.float64
    for kind, seen, entries, sizes in _FORMED:
        for n, dtype in sizes:
            yield Case(kind, n, dtype, seen, partial(_formed, entries, n, dtype))
    for kind, seen, n, k, shift, decay in (
        ("random factor, k = 8", True, 256, 8, 0.1, 0.0),
        ("random factor, k = 32", True, 1024, 32, 0.1, 0.0),
        ("random factor, k = 128", True, 8192, 128, 0.1, 0.0),
        ("factor of falling columns, k = 64", False, 2048, 64, 1e-3, 3.0),
        ("factor of falling columns, k = 512", False, 8192, 512, 1e-4, 3.0),
        ("factor with as many columns as rows", False, 1024, 1024, 0.1, 0.0),
        ("factor with twice as many columns as rows", False, 512, 1024, 1e-3, 1.0),
    ):
        yield Case(kind, n, single, seen, partial(_factor, n, k, shift, decay))
    for kind, seen, entries, sizes in _SPARSE:
        for n, dtype in sizes:
            yield Case(kind, n, dtype, seen, partial(_sparse, entries, n, dtype))
    for kind, seen, curvature, build, damping, batch in _NETS:
        n = sum(p.numel() for p in build().parameters())
        yield Case(kind, n, single, seen, partial(_net, curvature, build, damping, batch))
    yield Case("Fisher of a tanh network", 2370, double, False, _double_fisher)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _formed(
    entries: Callable[[int, torch.dtype], Tensor], n: int, dtype: torch.dtype, step: int
) -> LinearSystem:
    return _system(DenseOperator(_moved(entries(n, dtype), step)), step)


def _sparse(
    entries: Callable[[int, torch.dtype], Tensor], n: int, dtype: torch.dtype, step: int
) -> LinearSystem:
    return _system(SparseOperator(_moved(entries(n, dtype), step)), step)


def _factor(n: int, k: int, shift: float, decay: float, step: int) -> LinearSystem:
    columns = torch.randn(n, k, generator=_generator(0)) / math.sqrt(n)
    columns *= torch.arange(1, k + 1) ** -decay
    columns *= 1 + _MOVED * torch.randn(n, 1, generator=_generator(50 + step))
    return _system(LowRankOperator(DenseFactor(columns), shift), step)


def _system(operator: DenseOperator | LowRankOperator | SparseOperator, step: int) -> LinearSystem:
    rhs = torch.randn(operator.n, dtype=operator.dtype, generator=_generator(100 + step))
    return LinearSystem(operator, rhs)


def _moved(matrix: Tensor, step: int) -> Tensor:
    """Return D·A·D: every entry moved, symmetry, signs and zeros kept."""
    noise = torch.randn(len(matrix), dtype=matrix.dtype, generator=_generator(50 + step))
    scale = 1 + _MOVED * noise
    return matrix * scale * scale[:, None]


def _noise(n: int, dtype: torch.dtype) -> Tensor:
    """Return a symmetric matrix whose eigenvalues fill [-1, 1] (a semicircle)."""
    noise = torch.randn(n, n, dtype=dtype, generator=_generator(2)) / math.sqrt(8 * n)
    return noise + noise.mT


def _around_two(n: int, dtype: torch.dtype) -> Tensor:
    return _noise(n, dtype) + 2 * torch.eye(n, dtype=dtype)


def _with_spectrum(values: Tensor) -> Tensor:
    """Return a dense matrix of these eigenvalues: six reflections of their diagonal."""
    matrix, generator = torch.diag(values), _generator(3)
    for _ in range(6):
        u = torch.randn(len(values), dtype=values.dtype, generator=generator)
        u /= u.norm()
        matrix = matrix - 2 * torch.outer(u, u @ matrix)
        matrix = matrix - 2 * torch.outer(matrix @ u, u)
    return (matrix + matrix.mT) / 2


def _log_spread(span: float, n: int, dtype: torch.dtype) -> Tensor:
    return _with_spectrum(torch.logspace(-span, 0, n, dtype=dtype))


def _clustered(n: int, dtype: torch.dtype) -> Tensor:
    values = torch.ones(n, dtype=dtype)
    values[:10] = torch.logspace(1, 4, 10, dtype=dtype)
    return _with_spectrum(values)


def _covariance(n: int, dtype: torch.dtype) -> Tensor:
    samples = torch.randn(n // 2, n, dtype=dtype, generator=_generator(4))
    return samples.mT @ samples / len(samples) + 0.01 * torch.eye(n, dtype=dtype)


def _kernel(n: int, dtype: torch.dtype) -> Tensor:
    points = torch.rand(n, 3, dtype=dtype, generator=_generator(5))
    return torch.exp(-4 * torch.cdist(points, points) ** 2) + 0.01 * torch.eye(n, dtype=dtype)


def _toeplitz(n: int, dtype: torch.dtype) -> Tensor:
    lag = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    return torch.tensor(0.9, dtype=dtype) ** lag


def _few_negative(n: int, dtype: torch.dtype) -> Tensor:
    values = torch.linspace(0.5, 2.0, n, dtype=dtype)
    values[:5] = -torch.linspace(0.1, 1.0, 5, dtype=dtype)
    return _with_spectrum(values)


def _half_negative(n: int, dtype: torch.dtype) -> Tensor:
    values = torch.logspace(-2, 0, n, dtype=dtype)
    values[::2] *= -1
    return _with_spectrum(values)


def _saddle(n: int, dtype: torch.dtype) -> Tensor:
    """Return [[A, B], [Bᵀ, 0]]: a constrained least-squares problem's matrix."""
    m = n // 4
    matrix = torch.zeros(n, n, dtype=dtype)
    matrix[: n - m, : n - m] = _around_two(n - m, dtype)
    constraint = torch.randn(n - m, m, dtype=dtype, generator=_generator(6)) / math.sqrt(n)
    matrix[: n - m, n - m :], matrix[n - m :, : n - m] = constraint, constraint.mT
    return matrix


def _scattered(n: int, dtype: torch.dtype) -> Tensor:
    matrix, generator = torch.zeros(n, n, dtype=dtype), _generator(7)
    for _ in range(8):
        matrix[torch.arange(n), torch.randint(n, (n,), generator=generator)] = 0.1
    return matrix + matrix.mT + 4 * torch.eye(n, dtype=dtype)


def _band(n: int, dtype: torch.dtype) -> Tensor:
    lag = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    return torch.where(lag <= 4, 1.0 / (1 + lag), 0.0).to(dtype) + 8 * torch.eye(n, dtype=dtype)


def _grid(shift: float, n: int, dtype: torch.dtype) -> Tensor:
    """Return the five-point Laplacian of a square grid, its eigenvalues in (0, 8), shifted."""
    side = math.isqrt(n)
    line = torch.diag(torch.full((side - 1,), -1.0, dtype=dtype), 1)
    line, one = line + line.mT + 2 * torch.eye(side, dtype=dtype), torch.eye(side, dtype=dtype)
    return torch.kron(line, one) + torch.kron(one, line) + shift * torch.eye(n, dtype=dtype)


def _arrow(n: int, dtype: torch.dtype) -> Tensor:
    matrix = torch.diag(torch.linspace(1, 10, n, dtype=dtype))
    matrix[0], matrix[:, 0] = 0.01, 0.01
    matrix[0, 0] = 10
    return matrix


def _graph(n: int, dtype: torch.dtype) -> Tensor:
    """Return the Laplacian of a random graph of about ten edges a node, shifted by 0.01."""
    links = (torch.rand(n, n, generator=_generator(8)) < 10 / n).triu(1)
    links = (links | links.mT).to(dtype)
    return torch.diag(links.sum(1) + 0.01) - links


def _pruned(n: int, dtype: torch.dtype) -> Tensor:
    """Return a covariance whose rows keep their largest entries, and both mirror images."""
    dense = _covariance(n, dtype)
    least = dense.abs().topk(max(2, n // 50), dim=1).values[:, -1:]
    kept = (dense.abs() >= least) | (dense.abs() >= least.mT)
    return torch.where(kept, dense, 0.0) + 4 * torch.eye(n, dtype=dtype)


_S, _D = torch.float32, torch.float64
_FORMED = (
    ("noise around 2·I", True, _around_two, ((64, _S), (512, _S), (2048, _S), (8192, _S))),
    ("noise around 2·I", True, _around_two, ((128, _D), (1024, _D))),
    (
        "spectrum over two decades",
        False,
        partial(_log_spread, 2),
        ((64, _S), (512, _S), (4096, _S)),
    ),
    (
        "spectrum over six decades",
        False,
        partial(_log_spread, 6),
        ((128, _D), (1024, _D), (2048, _D)),
    ),
    ("ten outliers over ones", False, _clustered, ((256, _S), (1024, _S), (8192, _S))),
    ("covariance of few samples", False, _covariance, ((128, _S), (1024, _S), (4096, _S))),
    ("Gaussian kernel and ridge", False, _kernel, ((256, _D), (2048, _S))),
    ("Toeplitz 0.9^|i-j|", False, _toeplitz, ((512, _S), (4096, _S))),
    ("five negative eigenvalues", False, _few_negative, ((64, _S), (512, _S), (4096, _S))),
    ("half of the eigenvalues negative", False, _half_negative, ((256, _D), (2048, _S))),
    ("saddle-point matrix", False, _saddle, ((256, _S), (1024, _D), (4096, _S))),
)
_SPARSE = (
    ("scattered entries", True, _scattered, ((256, _S), (2048, _S), (8192, _S))),
    ("band of 4", True, _band, ((256, _S), (4096, _S))),
    ("grid Laplacian + 0.1", False, partial(_grid, 0.1), ((256, _S), (4096, _S), (6400, _D))),
    ("grid Laplacian - 0.5, indefinite", False, partial(_grid, -0.5), ((256, _D), (4096, _D))),
    ("arrow", False, _arrow, ((512, _S), (8192, _S))),
    ("graph Laplacian", False, _graph, ((1024, _S), (4096, _S))),
    ("pruned covariance", False, _pruned, ((512, _S), (2048, _S), (4096, _S))),
)


def _mlp(widths: tuple[int, ...], activation: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), activation()]
        return nn.Sequential(*layers[:-1])


def _convolutional() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Unflatten(1, (1, 16, 16)),
            nn.Conv2d(1, 6, 3),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 12, 3),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(300, 10),
        )


def _net(
    kind: Kind, build: Callable[[], nn.Module], damping: float, batch: int, step: int
) -> LinearSystem:
    return _curved(kind, build(), damping, batch, step)


def _double_fisher(step: int) -> LinearSystem:
    return _curved("fisher", _mlp((64, 30, 10, 10), nn.Tanh).double(), 1e-2, 100, step)


def _curved(kind: Kind, net: nn.Module, damping: float, batch: int, step: int) -> LinearSystem:
    """Return a network's damped curvature, held as curvature left it."""
    dtype = next(net.parameters()).dtype
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            generator = _generator(100 * step + index)
            noise = torch.randn(parameter.shape, dtype=dtype, generator=generator)
            parameter.mul_(1 + _MOVED * noise)
    first = next(net.children())
    width = first.in_features if isinstance(first, nn.Linear) else 256
    inputs = torch.randn(batch, width, dtype=dtype, generator=_generator(9))
    targets = torch.randint(0, 10, (batch,), generator=_generator(10))
    curvature = Curvature(net, kind, blocks="full")

    def loss() -> Tensor:
        return nn.functional.cross_entropy(net(inputs), targets)

    evaluation = curvature.evaluate(loss)
    (system,) = curvature.systems(evaluation)
    return system.with_operator(damp(system.operator, damping))


_NETS: tuple[tuple[str, bool, Kind, Callable[[], nn.Module], float, int], ...] = (
    (
        "Hessian of a small tanh network",
        True,
        "hessian",
        partial(_mlp, (16, 8, 10), nn.Tanh),
        0.1,
        256,
    ),
    (
        "Hessian of a ReLU network",
        False,
        "hessian",
        partial(_mlp, (64, 16, 16, 10), nn.ReLU),
        1.0,
        1024,
    ),
    (
        "Hessian of a deep tanh network",
        False,
        "hessian",
        partial(_mlp, (32, 24, 24, 24, 10), nn.Tanh),
        0.1,
        512,
    ),
    (
        "Hessian of a wide ReLU network",
        False,
        "hessian",
        partial(_mlp, (256, 24, 10), nn.ReLU),
        1.0,
        512,
    ),
    ("Hessian of a convolutional network", False, "hessian", _convolutional, 1.0, 64),
    (
        "Gauss-Newton of a ReLU network",
        False,
        "ggn",
        partial(_mlp, (64, 32, 10), nn.ReLU),
        0.1,
        256,
    ),
    (
        "Gauss-Newton of a tanh network",
        False,
        "ggn",
        partial(_mlp, (128, 40, 10), nn.Tanh),
        0.01,
        64,
    ),
    ("Fisher of a ReLU network", False, "fisher", partial(_mlp, (256, 24, 10), nn.ReLU), 0.1, 64),
    ("Fisher of a wide network", False, "fisher", partial(_mlp, (512, 14, 10), nn.Tanh), 0.01, 256),
)
