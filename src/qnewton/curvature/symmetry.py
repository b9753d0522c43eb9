"""Whether a Hessian is symmetric, and which layer's second derivatives break that."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.generic import CurvatureProducts
from qnewton.curvature.routes import random_like
from qnewton.operators.scaling import into_range, norm_ratio

# Share of ‖Hu‖ + ‖Hv‖ that uᵀHv and vᵀHu may differ by: above what rounding leaves where large
# terms cancel, below what a wrong term of a layer adds.
_LIMIT = {torch.float32: 1e-3, torch.float64: 1e-7}
# Layers that are looked at one by one.
_MOST_LAYERS = 200


@dataclass(frozen=True)
class Products:
    """Random vectors and their products with H.

    Attributes:
        vectors: u and v, standard normal, and d, of norm 1; [3, N].
        images: Hu, Hv and Hd, [3, N].
    """

    vectors: Tensor
    images: Tensor

    def change(self, other: "Products") -> float:
        """Return how far another's Hu and Hv are off these, of their size."""
        mine = self.images[:2].double()
        return norm_ratio(mine - other.images[:2].double(), mine)


def asymmetry(products: Products, precision: torch.dtype) -> tuple[float, float]:
    """Return |uᵀHv - vᵀHu| / (‖Hu‖ + ‖Hv‖), and the most that is ordinary rounding.

    Args:
        products: Those of u and v.
        precision: float32 or float64, what they are computed in.

    Example:
        >>> u_and_v, hessian = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> round(asymmetry(Products(u_and_v, u_and_v @ hessian), torch.float32)[0], 2)
        0.41
    """
    u, v = products.vectors[:2].double()
    (hu, hv), _ = into_range(products.images[:2].double())
    size = float(hu.norm() + hv.norm())
    off = abs(float(u @ hv - v @ hu))
    return (off / size if size > 0.0 else 0.0), _LIMIT[precision]


def layer_of(name: str) -> str:
    """Return the module that owns a parameter; the parameter's own name if no module is known.

    Example:
        >>> layer_of("encoder.0.parametrizations.weight.original1"), layer_of("scale")
        ('encoder.0', 'scale')
    """
    before, parametrized, _ = name.partition(".parametrizations.")
    return before if parametrized else (name.rpartition(".")[0] or name)


def layers(names: Sequence[str], parameters: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Return the parameters of each layer, in order."""
    found: dict[str, list[Tensor]] = {}
    for name, parameter in zip(names, parameters, strict=True):
        found.setdefault(layer_of(name), []).append(parameter)
    return found


def wrong_layer(
    graph: CurvatureProducts, names: Sequence[str], parameters: Sequence[Tensor]
) -> str:
    """Return the layer whose rows of H differ most from its columns.

    For layer i and random u_i and v that is |vᵀ(H u_i) - u_iᵀ(H v)_i| / (‖H u_i‖ + ‖(H v)_i‖).

    Cost: two products per layer.
    """
    v = random_like(parameters[0].detach(), (sum(p.numel() for p in parameters),), draw=21)
    scores: dict[str, float] = {}
    for name, own in list(layers(names, parameters).items())[:_MOST_LAYERS]:
        u = random_like(own[0].detach(), (sum(p.numel() for p in own),), draw=22)
        found = (graph.rows(own, parameters, u[None])[0], graph.rows(parameters, own, v[None])[0])
        joined, _ = into_range(torch.cat(found).double())
        columns, rows = joined.split([found[0].numel(), found[1].numel()])
        size = float(columns.norm() + rows.norm())
        off = abs(float(v.double() @ columns - u.double() @ rows))
        scores[name] = off / size if size > 0.0 else 0.0
    return max(scores, key=lambda name: scores[name])
