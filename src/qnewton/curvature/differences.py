"""A product with the Hessian against differences of gradients, and what else may set them apart."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from qnewton.curvature.rerun import NUMERICAL, Look, Looks
from qnewton.curvature.symmetry import Products, layers
from qnewton.operators.scaling import safe_norm

PRECISIONS = (torch.float32, torch.float64)
"""What differences of gradients can be taken in."""

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

_KINKS = (
    "Relu",
    "LeakyRelu",
    "Rrelu",
    "Prelu",
    "Threshold",
    "Hard",
    "Max",
    "Min",
    "AdaptiveMax",
    "FractionalMax",
    "Amax",
    "Amin",
    "Abs",
    "Clamp",
    "Where",
    "Sort",
    "Topk",
    "Median",
    "Kthvalue",
    "L1Loss",
    "Multi",
    "MarginRanking",
)
"""How the names of operations begin whose gradient jumps."""


class Differences:
    """(g(θ+hd) - g(θ-hd)) / 2h beside H·d.

    Args:
        looks: Runs the closure at other parameters.
        here: What it gives at θ.
        place: θ, as a move from where the parameters are, shape [N].
        products: With d, of norm 1, and H·d last.

    Attributes:
        off: ‖difference - H·d‖ over the larger of their norms, once looked.
        agrees: Whether they do on a closer look.
        steady: Whether that finds the same error, as it does if H is wrong.
        failure: What the closure raised, if it did.
    """

    def __init__(self, looks: Looks, here: Look, place: Tensor, products: Products) -> None:
        self._looks, self.here, self._place = looks, here, place
        self._along, self._product = products.vectors[2], products.images[2]
        self._h = _STEP[here.precision] * looks.size
        self._eps = torch.finfo(here.precision).eps
        self._found = torch.zeros_like(self._product)
        self._slope = 0.0
        self.off = 0.0
        self.agrees = self.steady = False
        self.failure: str | None = None

    def look(self) -> bool:
        """Return whether the two are too far apart; not so where rounding hides it.

        Cost: two runs of the closure.
        """
        found = self._quotient(self._h)
        if found is None:
            return True
        self._found, self._slope = found
        error = safe_norm(self._found - self._product)
        size = max(safe_norm(self._found), safe_norm(self._product))
        rounding = _ROUNDINGS * self._eps * safe_norm(self.here.flat) / self._h
        self.off = error / size if error > rounding and size > 0.0 else 0.0
        return self.off > _OFF[self.here.precision]

    def look_closer(self) -> None:
        """Look with a shorter step: H·d may agree with that, or the error prove to be its own.

        Cost: two runs of the closure.
        """
        closer = self._quotient(_CLOSER[self.here.precision] * self._h)
        if closer is not None:
            size = max(safe_norm(closer[0]), safe_norm(self._product))
            left = safe_norm(closer[0] - self._product)
            self.agrees = left <= _OFF[self.here.precision] * size
            change = safe_norm(closer[0] - self._found)
            self.steady = change <= _STEADY * safe_norm(self._found - self._product)

    def is_reproducible(self) -> bool:
        """Return whether the closure gives the same gradient again where it was.

        Cost: one run of the closure.
        """
        again, first = self._look(0.0), self.here.flat
        if again is None:
            return False
        return safe_norm(again[0] - first) <= 1e3 * self._eps * safe_norm(first)

    def slope_fits(self) -> bool:
        """Return whether the gradient is that of the loss the closure returns.

        It is not where hooks change gradients, or a part of the loss is detached out of sight.
        """
        gradient = self.here.flat
        expected = float(gradient @ self._along)
        usual = safe_norm(gradient) / max(1, gradient.numel()) ** 0.5
        rounding = _ROUNDINGS * self._eps * abs(self.here.evaluation.judged_loss) / self._h
        return abs(self._slope - expected) <= _SLOPE_OFF * usual + rounding

    def wrong_layer(self, names: Sequence[str], parameters: Sequence[Tensor]) -> str:
        """Return the last layer whose rows are off: layers behind a wrong operation are right."""
        error = (self._found - self._product).split([p.numel() for p in parameters])
        known = {id(p): safe_norm(part) for p, part in zip(parameters, error, strict=True)}
        scores = {
            name: math.hypot(*(known[id(p)] for p in own))
            for name, own in layers(names, parameters).items()
        }
        largest = max(scores.values())
        return [name for name, score in scores.items() if score > 0.1 * largest][-1]

    def _quotient(self, h: float) -> tuple[Tensor, float] | None:
        ahead, behind = self._look(h), self._look(-h)
        if ahead is None or behind is None:
            return None
        return (ahead[0] - behind[0]) / (2 * h), (ahead[1] - behind[1]) / (2 * h)

    def _look(self, distance: float) -> tuple[Tensor, float] | None:
        """Return gradient and loss at θ + ``distance``·d; ``None`` if the closure fails."""
        try:
            with self._looks.look(self._place + distance * self._along) as seen:
                return seen.flat, seen.evaluation.judged_loss
        except NUMERICAL as error:
            self.failure = f"run again, the closure raises {error!r}"
            return None


def cannot_tell(differences: Differences, operations: Iterable[str]) -> str | None:
    """Look closer, and return why what differs need not be an error of H, or ``None``.

    Every run of the closure is made whatever the others say, so that all processes make the same.

    Args:
        differences: With an error.
        operations: Names of the graph's operations.

    Cost: three runs of the closure.
    """
    differences.look_closer()
    reproducible = differences.is_reproducible()
    if differences.failure is not None:
        return differences.failure
    if not reproducible:
        return "the closure does not give the same gradient twice"
    if differences.here.holds_constant:
        return "the closure holds something constant (detach, no_grad) that depends on parameters"
    if differences.here.precision is torch.float32:
        kinks = sorted(name for name in operations if name.startswith(_KINKS))
        if kinks:
            return f"in float32 {kinks[0]} jumps within their steps"
    if not differences.slope_fits():
        return "the gradient is not that of the loss it returns"
    return None if differences.steady else "they depend on the step's length"
