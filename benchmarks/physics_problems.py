"""Five differential equations as ordinary closures of physics-informed networks, float64.

Each loss is half the sum of the mean squares of its residuals: the equation at points inside, and
what is known at the boundary, at the start or by measurement. Derivatives in the points are taken
as their users take them, by ``torch.autograd.grad`` of what the network returns. Points are drawn
once. Where an equation's terms are large, its residual is divided by their size, which helps
first-order methods most.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.special import roots_hermite
from torch import Tensor, nn

SEED = 0
VISCOSITY = 0.01 / math.pi
"""Of the Burgers problem (Basdevant et al. 1986)."""

Field = Callable[[Tensor], Tensor]
"""Takes points [B, d] and returns u [B]; B rows do not interact."""

_HERMITE_NODES = 120
_FIRST_VISCOSITY = 0.05


@dataclass(frozen=True)
class PhysicsProblem:
    """A network, the residuals of its equation, and the solution to compare with.

    Attributes:
        name: What the table calls it.
        title: Equation, network and numbers of points in one line.
        model: At its starting point; float64.
        residuals: The residuals at all points of any field in place of the network.
        solution: The exact one.
        probes: Points at which the error is measured, [K, d].
    """

    name: str
    title: str
    model: nn.Module
    residuals: Callable[[Field], tuple[Tensor, ...]]
    solution: Field
    probes: Tensor

    @property
    def n(self) -> int:
        """Number of parameters N."""
        return sum(p.numel() for p in self.model.parameters())

    def loss(self) -> Tensor:
        """Return ½ Σ_k mean(r_k²) of the network, with its graph."""
        parts = [residual.square().mean() for residual in self.residuals(self._network)]
        return 0.5 * torch.stack(parts).sum()

    @torch.no_grad()
    def error(self) -> float:
        """Return the relative L2 error of the network over the probes."""
        exact = self.solution(self.probes)
        return float((self._network(self.probes) - exact).norm() / exact.norm())

    def _network(self, points: Tensor) -> Tensor:
        return self.model(points).squeeze(-1)


def poisson_2d() -> PhysicsProblem:
    """Return Δu = f on the unit square, u = sin(πx) sin(πy): 2-32-1 tanh, N = 129.

    Reference: J. Müller, M. Zeinhofer, Achieving High Accuracy with PINNs via Energy Natural
    Gradient Descent, ICML 2023: 900 points inside and 120 on the boundary, on grids.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = _tanh_network(2, 32, 1)
        probes = torch.rand(4000, 2, dtype=torch.float64)
    inside, edge = poisson_2d_points()

    def solution(points: Tensor) -> Tensor:
        return torch.sin(math.pi * points).prod(-1)

    force = -2 * math.pi**2 * solution(inside)

    def residuals(u: Field) -> tuple[Tensor, ...]:
        return laplacian(u, inside) - force, u(edge)

    title = "Δu = f on the unit square, 2-32-1 tanh, 900 and 120 points"
    return PhysicsProblem("Poisson 2-D", title, model, residuals, solution, probes)


def poisson_2d_points() -> tuple[Tensor, Tensor]:
    """Return the points inside and on the edge."""
    return _grid(30), _square_edges(30)


def burgers() -> PhysicsProblem:
    """Return Burgers' equation with a viscosity to be found from 400 measurements: N = 922.

    u_t + u u_x = ν u_xx on [0, 1] × [-1, 1] with u(0, x) = -sin(πx). ν = 0.01/π is unknown and
    starts sixteen times too large, as a logarithm, so that it stays positive.

    Reference: M. Raissi, P. Perdikaris, G. Karniadakis, Physics-informed neural networks, Journal
    of Computational Physics 378 (2019), section 4.1.1.
    """
    model = _BurgersNetwork()
    generator = _generator()
    low, size = torch.tensor([0.0, -1.0]), torch.tensor([1.0, 2.0])
    inside = low + size * _uniform(1600, 2, generator)
    measured = low + size * _uniform(400, 2, generator)
    values = burgers_solution(measured)
    times = torch.linspace(0.02, 1.0, 50, dtype=torch.float64)
    places = torch.linspace(-0.99, 0.99, 100, dtype=torch.float64)

    def residuals(u: Field) -> tuple[Tensor, ...]:
        return burgers_residual(u, inside, model.log_viscosity.exp()), u(measured) - values

    title = "u_t + u u_x = ν u_xx, ν learned, 2-20-20-20-1 tanh, 1600 points, 400 measurements"
    probes = torch.cartesian_prod(times, places)
    return PhysicsProblem("Burgers, ν learned", title, model, residuals, burgers_solution, probes)


def burgers_residual(u: Field, points: Tensor, viscosity: Tensor) -> Tensor:
    """Return u_t + u u_x - ν u_xx at points (t, x)."""
    points, value, slope = _differentiated(u, points)
    [bend] = torch.autograd.grad(slope[:, 1].sum(), points, create_graph=True)
    return slope[:, 0] + value * slope[:, 1] - viscosity * bend[:, 1]


def burgers_solution(points: Tensor, viscosity: float = VISCOSITY) -> Tensor:
    """Return the solution from u(0, x) = -sin(πx) at points (t, x).

    The formula of Cole and Hopf is a quotient of two integrals over a Gaussian of variance 2νt,
    here by Gauss-Hermite quadrature.

    Reference: C. Basdevant et al., Spectral and finite difference solutions of the Burgers
    equation, Computers & Fluids 14 (1986).
    """
    nodes, weights = map(torch.from_numpy, roots_hermite(_HERMITE_NODES))
    t, x = points[:, :1], points[:, 1:]
    from_x = x - (4 * viscosity * t).sqrt() * nodes
    # exp(±50) stands in the integrals: softmax keeps their quotient in range.
    share = (weights.log() - torch.cos(math.pi * from_x) / (2 * math.pi * viscosity)).softmax(-1)
    return -(share * torch.sin(math.pi * from_x)).sum(-1)


def helmholtz() -> PhysicsProblem:
    """Return Δu + k²u = f with k = 4π, u = sin(4πx) sin(4πy): 2-32-32-1 tanh, N = 1,185.

    Four wavelengths of the waves that the equation itself carries fit along both sides, and the
    operator is indefinite. The residual is divided by k².
    """
    wave = 4 * math.pi
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = _tanh_network(2, 32, 32, 1)
        probes = torch.rand(4000, 2, dtype=torch.float64)
    inside, edge = _grid(40), _square_edges(40)

    def solution(points: Tensor) -> Tensor:
        return torch.sin(wave * points).prod(-1)

    force = -solution(inside)

    def residuals(u: Field) -> tuple[Tensor, ...]:
        return laplacian(u, inside) / wave**2 + u(inside) - force, u(edge)

    title = "Δu + k²u = f, k = 4π, on the unit square, 2-32-32-1 tanh, 1600 and 160 points"
    return PhysicsProblem("Helmholtz", title, model, residuals, solution, probes)


def heat() -> PhysicsProblem:
    """Return u_t = u_xx / 4 from u(0, x) = sin(πx): 2-64-1 tanh, N = 257.

    Reference: J. Müller, M. Zeinhofer (2023), section 4.2: u = exp(-π²t/4) sin(πx).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = _tanh_network(2, 64, 1)
        probes = torch.rand(4000, 2, dtype=torch.float64)
    inside, line = _grid(30), _midpoints(30)
    start = torch.stack([0 * line, line], -1)
    edge = torch.cat([torch.stack([line, 0 * line], -1), torch.stack([line, 0 * line + 1], -1)])

    def solution(points: Tensor) -> Tensor:
        return torch.exp(-(math.pi**2) / 4 * points[:, 0]) * torch.sin(math.pi * points[:, 1])

    first = solution(start)

    def residuals(u: Field) -> tuple[Tensor, ...]:
        points, _, slope = _differentiated(u, inside)
        [bend] = torch.autograd.grad(slope[:, 1].sum(), points, create_graph=True)
        return slope[:, 0] - bend[:, 1] / 4, u(start) - first, u(edge)

    title = "u_t = u_xx / 4 on the unit square, 2-64-1 tanh, 900, 30 and 60 points"
    return PhysicsProblem("heat 1+1-D", title, model, residuals, solution, probes)


def poisson_5d() -> PhysicsProblem:
    """Return -Δu = π² Σ cos(πx_i) on the unit cube, u = Σ cos(πx_i): 5-64-1 tanh, N = 449.

    The residual inside is divided by π².

    Reference: J. Müller, M. Zeinhofer (2023), section 4.3: 3000 points inside, 500 on the faces.
    """
    dimensions = 5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = _tanh_network(dimensions, 64, 1)
        probes = torch.rand(4000, dimensions, dtype=torch.float64)
    generator = _generator()
    inside = _uniform(3000, dimensions, generator)
    edge = _uniform(500, dimensions, generator)
    for face, points in enumerate(edge.split(500 // (2 * dimensions))):
        points[:, face // 2] = face % 2

    def solution(points: Tensor) -> Tensor:
        return torch.cos(math.pi * points).sum(-1)

    force, known = solution(inside), solution(edge)

    def residuals(u: Field) -> tuple[Tensor, ...]:
        return laplacian(u, inside) / math.pi**2 + force, u(edge) - known

    title = "-Δu = f on the unit cube, 5-64-1 tanh, 3000 and 500 points"
    return PhysicsProblem("Poisson 5-D", title, model, residuals, solution, probes)


Build = Callable[[], PhysicsProblem]
OTHERS: tuple[Build, ...] = (burgers, helmholtz, heat, poisson_5d)
"""All but the first, which has a table of its own."""


def laplacian(u: Field, points: Tensor) -> Tensor:
    """Return Δu, one backward pass for each coordinate.

    Args:
        u: The field.
        points: Shape [B, d].

    Returns:
        Shape [B], with its graph.
    """
    points, _, slope = _differentiated(u, points)
    total = torch.zeros_like(points[:, 0])
    for axis in range(points.shape[1]):
        [bend] = torch.autograd.grad(slope[:, axis].sum(), points, create_graph=True)
        total = total + bend[:, axis]
    return total


def _differentiated(u: Field, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the points as a new leaf, u and its gradient at them."""
    points = points.clone().requires_grad_()
    value = u(points)
    [slope] = torch.autograd.grad(value.sum(), points, create_graph=True)
    return points, value, slope


class _BurgersNetwork(nn.Module):
    """u(t, x) and the logarithm of ν."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            self.network = _tanh_network(2, 20, 20, 20, 1)
        start = torch.tensor(math.log(_FIRST_VISCOSITY), dtype=torch.float64)
        self.log_viscosity = nn.Parameter(start)

    def forward(self, points: Tensor) -> Tensor:
        return self.network(points)


def _tanh_network(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, dtype=torch.float64), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def _uniform(count: int, dimensions: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, dimensions, generator=generator, dtype=torch.float64)


def _midpoints(count: int) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def _grid(count: int) -> Tensor:
    line = _midpoints(count)
    return torch.cartesian_prod(line, line)


def _square_edges(count: int) -> Tensor:
    line = _midpoints(count)
    zero, one = 0 * line, 0 * line + 1
    pairs = ((line, zero), (line, one), (zero, line), (one, line))
    return torch.cat([torch.stack(pair, -1) for pair in pairs])
