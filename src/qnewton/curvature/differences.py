"""A product with the Hessian against its mirror, and against differences of gradients."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.generic import CurvatureProducts
from qnewton.curvature.rerun import NUMERICAL, Rerun, Reruns
from qnewton.curvature.routes import Refused, random_like
from qnewton.operators.scaling import into_range, norm_ratio, safe_norm

PRECISIONS = (torch.float32, torch.float64)
"""What differences of gradients can be taken in."""

# Share of ‖Hu‖ + ‖Hv‖ that uᵀHv and vᵀHu may differ by: above what rounding leaves where large
# terms cancel, below what a wrong term of a layer adds.
ASYMMETRY = {torch.float32: 1e-3, torch.float64: 1e-7}
# Layers that are looked at one by one.
_MOST_LAYERS = 200

# Share of its size that a product may be off by.
_OFF = {torch.float32: 5e-2, torch.float64: 1e-4}
# Of that error, how much two step lengths may disagree if it is to be the product's. Kinks inside
# the steps, noise and rounding do not repeat at another length.
_STEADY = 2e-2
# Step, as a share of the parameters' norm. About ∛ε in float32. In float64 shorter, so that fewer
# units with a kink change sides on the way; half of the digits are left, which is plenty.
_STEP = {torch.float32: 4e-3, torch.float64: 1e-6}
# The second look, of the first: in float64 there is room for a hundred times fewer such units.
_CLOSER = {torch.float32: 0.4, torch.float64: 0.01}
# Of what the slope of the loss along a random direction is on average.
_SLOPE_OFF = 5e-2
_ROUNDINGS = 16.0  # units in the last place of a loss

# How the names of operations begin whose gradient jumps.
_KINKS = re.compile(
    "Relu|LeakyRelu|Rrelu|Prelu|Threshold|Hard|Max|Min|AdaptiveMax|FractionalMax|Amax|Amin|Abs|"
    "Clamp|Where|Sort|Topk|Median|Kthvalue|L1Loss|Multi|MarginRanking"
)


@dataclass(frozen=True, eq=False)
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

    def asymmetry(self) -> float:
        """Return |uᵀHv - vᵀHu| / (‖Hu‖ + ‖Hv‖)."""
        (u, v, _), (hu, hv, _) = self.vectors, self.images
        return _asymmetry(u, v, hu, hv)


def _asymmetry(u: Tensor, v: Tensor, hu: Tensor, hv: Tensor) -> float:
    """Return |uᵀ(Hv) - vᵀ(Hu)| / (‖Hu‖ + ‖Hv‖); u and Hv may be of some rows alone."""
    near, _ = into_range(torch.cat([hu, hv]).double())
    hu, hv = near.split([len(hu), len(hv)])
    size = float(hu.norm() + hv.norm())
    off = abs(float(u.double() @ hv - v.double() @ hu))
    return off / size if size > 0.0 else 0.0


def layer_of(name: str) -> str:
    """Return the module that owns a parameter; the parameter's own name if no module is known.

    Example:
        >>> layer_of("encoder.0.parametrizations.weight.original1"), layer_of("scale")
        ('encoder.0', 'scale')
    """
    before, parametrized, _ = name.partition(".parametrizations.")
    return before if parametrized else (name.rpartition(".")[0] or name)


def _layers(names: Sequence[str], parameters: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Return the parameters of each layer, in order."""
    found: dict[str, list[Tensor]] = {}
    for name, parameter in zip(names, parameters, strict=True):
        found.setdefault(layer_of(name), []).append(parameter)
    return found


def asymmetric_layer(
    graph: CurvatureProducts, names: Sequence[str], parameters: Sequence[Tensor]
) -> str:
    """Return the layer whose rows of H differ most from its columns: two products per layer."""
    v = random_like(parameters[0].detach(), (sum(p.numel() for p in parameters),), draw=21)
    scores: dict[str, float] = {}
    for name, own in list(_layers(names, parameters).items())[:_MOST_LAYERS]:
        u = random_like(own[0].detach(), (sum(p.numel() for p in own),), draw=22)
        columns = graph.rows(own, parameters, u[None])[0]
        rows = graph.rows(parameters, own, v[None])[0]
        scores[name] = _asymmetry(u, v, columns, rows)
    return max(scores, key=lambda name: scores[name])


class Differences:
    """(g(θ+hd) - g(θ-hd)) / 2h beside H·d.

    Args:
        reruns: Runs the closure at other parameters.
        here: What it gives at θ.
        place: θ, as a move from where the parameters are, shape [N].
        products: With d, of norm 1, and H·d last.

    Attributes:
        here: The same.
        off: ‖difference - H·d‖ over the larger of their norms, once looked.
    """

    def __init__(self, reruns: Reruns, here: Rerun, place: Tensor, products: Products) -> None:
        self._reruns, self.here, self._place = reruns, here, place
        self._along, self._product = products.vectors[2], products.images[2]
        self._h = _STEP[here.precision] * reruns.size
        self._eps = torch.finfo(here.precision).eps
        self._found, self._slope = torch.zeros_like(self._product), 0.0
        self._failure: str | None = None
        self.off = 0.0

    def look(self) -> bool:
        """Return whether the two are too far apart, after two runs; not so if rounding hides it."""
        found = self._quotient(self._h)
        if found is None:
            return True
        self._found, self._slope = found
        error, size = self._apart(self._found)
        rounding = _ROUNDINGS * self._eps * safe_norm(self.here.flat) / self._h
        self.off = error / size if error > rounding and size > 0.0 else 0.0
        return self.off > _OFF[self.here.precision]

    def look_closer(self, operations: Iterable[str]) -> str | Refused | None:
        """Look with a shorter step: ``None`` if H·d agrees with that, a refusal if H is wrong.

        Else what differs need not be an error of H, and the answer says why. Every one of three
        runs of the closure is made whatever the others say, so that all processes make the same.
        """
        closer, again = self._quotient(_CLOSER[self.here.precision] * self._h), self._at(0.0)
        if closer is not None:
            left, size = self._apart(closer[0])
            if left <= _OFF[self.here.precision] * size:
                return None
        if closer is None or again is None or self._failure is not None:
            return self._failure
        gradient = self.here.flat
        if not safe_norm(again[0] - gradient) <= 1e3 * self._eps * safe_norm(gradient):
            return "the closure does not give the same gradient twice"
        if self.here.holds_constant:
            return (
                "the closure holds something constant (detach, no_grad) that depends on parameters"
            )
        kinks = sorted(name for name in operations if _KINKS.match(name))
        if kinks and self.here.precision is torch.float32:
            return f"in float32 {kinks[0]} jumps within their steps"
        if not self._slope_fits():
            return "the gradient is not that of the loss it returns"
        change = safe_norm(closer[0] - self._found)
        if not change <= _STEADY * self._apart(self._found)[0]:
            return "they depend on the step's length"
        return Refused(f"differences of gradients are off by {self.off:.2g}")

    def wrong_layer(self, names: Sequence[str], parameters: Sequence[Tensor]) -> str:
        """Return the last layer whose rows are off: layers behind a wrong operation are right."""
        error = (self._found - self._product).split([p.numel() for p in parameters])
        known = {id(p): safe_norm(part) for p, part in zip(parameters, error, strict=True)}
        scores = {
            name: math.hypot(*(known[id(p)] for p in own))
            for name, own in _layers(names, parameters).items()
        }
        largest = max(scores.values())
        return [name for name, score in scores.items() if score > 0.1 * largest][-1]

    def _slope_fits(self) -> bool:
        """Return whether the gradient is that of the loss the closure returns."""
        # It is not where hooks change gradients, or a part of the loss is detached out of sight.
        gradient = self.here.flat
        expected = float(gradient @ self._along)
        usual = safe_norm(gradient) / max(1, gradient.numel()) ** 0.5
        rounding = _ROUNDINGS * self._eps * abs(self.here.evaluation.judged_loss) / self._h
        return abs(self._slope - expected) <= _SLOPE_OFF * usual + rounding

    def _apart(self, found: Tensor) -> tuple[float, float]:
        """Return how far ``found`` is from H·d, and the larger of their norms."""
        size = max(safe_norm(found), safe_norm(self._product))
        return safe_norm(found - self._product), size

    def _quotient(self, h: float) -> tuple[Tensor, float] | None:
        ahead, behind = self._at(h), self._at(-h)
        if ahead is None or behind is None:
            return None
        return (ahead[0] - behind[0]) / (2 * h), (ahead[1] - behind[1]) / (2 * h)

    def _at(self, distance: float) -> tuple[Tensor, float] | None:
        """Return gradient and loss at θ + ``distance``·d; ``None`` if the closure fails."""
        try:
            with self._reruns.at(self._place + distance * self._along) as seen:
                return seen.flat, seen.evaluation.judged_loss
        except NUMERICAL as error:
            self._failure = f"run again, the closure raises {error!r}"
            return None
