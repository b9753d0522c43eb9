"""The matrix products that the closed form of a ReLU network cannot do without, and no more.

The yardstick for a Hessian's time: products of the shapes of the formulas, on memory that is
already there, with nothing gathered, scaled, mirrored or differentiated.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from benchmarks.problems import Problem

# The own block of a wide layer is symmetric: panels of this width skip most of one half.
_PANEL = 128
_WIDE = 256


@dataclass(frozen=True)
class Product:
    """One product [rows, samples] × [samples, columns]."""

    rows: int
    samples: int
    columns: int

    @property
    def flops(self) -> float:
        """Operations, a multiplication and an addition counted apart."""
        return 2.0 * self.rows * self.samples * self.columns


def bare_products(problem: Problem) -> list[Product]:
    """Return the products of H[(l,j,p),(m,q,r)] = Σ_n a_l[p] C[n,(q,r)] for all l ≤ m.

    For unit j only samples count in which it is active, as its other terms are exactly zero; the
    output layer is always active. One triangle of each symmetric block is enough.

    Args:
        problem: Its model a sequence of linear layers with ReLU between.
    """
    layers = list(_layers(problem))
    found: list[Product] = []
    for inputs, active in layers:
        units = active.shape[1]
        if inputs < _WIDE:
            found += [
                Product(inputs, int(active[:, j].sum()), (units - j) * inputs) for j in range(units)
            ]
            continue
        for j in range(units):
            for q in range(j, units):
                samples = int((active[:, j] & active[:, q]).sum())
                found += [
                    Product(min(_PANEL, inputs - start), samples, inputs - start)
                    for start in range(0, inputs, _PANEL)
                ]
    for (inputs, active), (later, units) in combinations(layers, 2):
        columns = later * units.shape[1]
        found += [Product(inputs, int(active[:, j].sum()), columns) for j in range(active.shape[1])]
    return found


def products_run(products: Sequence[Product]) -> Callable[[], None]:
    """Return a run of all products on operands that are made here, once, and reused."""
    left = torch.randn(max(p.samples * p.rows for p in products))
    right = torch.randn(max(p.samples * p.columns for p in products))
    out = torch.empty(max(p.rows * p.columns for p in products))

    def run() -> None:
        for p in products:
            torch.mm(
                left[: p.samples * p.rows].view(p.samples, p.rows).mT,
                right[: p.samples * p.columns].view(p.samples, p.columns),
                out=out[: p.rows * p.columns].view(p.rows, p.columns),
            )

    return run


def _layers(problem: Problem) -> Iterator[tuple[int, Tensor]]:
    """Yield each linear layer's input width and which units are active, bool [n, out]."""
    modules = list(problem.model.children())
    hidden = problem.inputs
    with torch.no_grad():
        for index, module in enumerate(modules):
            hidden = module(hidden)
            if isinstance(module, nn.Linear):
                rectified = index + 1 < len(modules)
                active = hidden > 0 if rectified else torch.ones_like(hidden, dtype=torch.bool)
                yield module.in_features, active
