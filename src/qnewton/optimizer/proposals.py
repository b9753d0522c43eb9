"""Steps that a self-damped step may take, each with what the quadratic model says of it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.quadratic import QuadraticModel
from qnewton.records import Origin
from qnewton.survey.lowest import LowestPair


@dataclass(frozen=True)
class Candidate:
    """A step, and what the quadratic model says of the loss along it.

    Attributes:
        step: s, shape [N].
        slope: gᵀs.
        bend: sᵀHs, with H undamped and unpruned; 0 where H is not finite.
    """

    step: Tensor
    slope: float
    bend: float

    def change(self, length: float = 1.0) -> float:
        """Return the change of the loss that the model predicts for length·s."""
        return self.slope * length + self.bend * length**2 / 2


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One step, or two in opposite directions, to be judged by the true loss.

    Attributes:
        origin: What it goes along.
        candidates: The steps.
        clipped: Whether the trust radius shortened it.
        products: Products with H that it took.
        share: λ‖x‖²/-gᵀx of the systems' solution x, if there is one: 1 where λ is all that counts.
        certain: Whether the model's word can be taken for it where rounding hides the change.
        note: What negative curvature it goes along, in words.
    """

    origin: Origin
    candidates: tuple[Candidate, ...]
    clipped: bool = False
    products: int = 0
    share: float | None = None
    certain: bool = True
    note: str | None = None


@dataclass(frozen=True)
class Terms:
    """What a step is made from.

    Attributes:
        gradient: g of the loss that is minimised, shape [N].
        asked: What the systems were to undo, ``.grad``, which may be clipped, shape [N].
        model: H, undamped and unpruned.
        strength: λ.
        radius: Δ.
        lengths: β of every unknown, shape [N], float64.
    """

    gradient: Tensor
    asked: Tensor
    model: SymmetricOperator
    strength: float
    radius: float
    lengths: Tensor


def newton_proposal(terms: Terms, directions: Tensor, betas: Tensor) -> Proposal | str:
    """Return the step that puts the blocks' directions together, no longer than Δ.

    Args:
        terms: What it is made from.
        directions: D, the systems' solutions, shape [N, K].
        betas: β of each column, shape [K].

    Returns:
        The step; where it cannot be used, why not: it is not finite, or it climbs.

    Cost: K products.
    """
    try:
        quadratic = QuadraticModel.of(directions, terms.gradient, terms.model, terms.asked)
        if not quadratic.finite:
            return "the quadratic model along the direction is not finite"
        whole = quadratic.minimiser(terms.strength)
    except RuntimeError as error:  # eigenvalues that do not converge
        return f"the directions could not be put together ({type(error).__name__})"
    coefficients = whole * betas
    slope = float(quadratic.slope @ coefficients)
    if not slope <= 0.0:
        return "the direction climbs"
    bend = quadratic.bend(coefficients)
    if bend > 0.0 and slope + bend / 2 >= 0.0 and slope < 0.0:
        # A curvature that is not the model's own (the Fisher) may overshoot: to the lowest point.
        coefficients = coefficients * (-slope / bend)
    norm = quadratic.norm(coefficients)
    clipped = norm > terms.radius
    if clipped:
        coefficients = coefficients * (terms.radius / norm)
    step = quadratic.step(coefficients).to(terms.gradient.dtype)
    if not torch.isfinite(step).all():
        return "the step is not finite"
    return Proposal(
        origin="newton",
        candidates=(
            Candidate(step, float(quadratic.slope @ coefficients), quadratic.bend(coefficients)),
        ),
        clipped=clipped,
        products=directions.shape[1],
        share=_share(terms.strength, quadratic, whole),
    )


def _share(strength: float, quadratic: QuadraticModel, whole: Tensor) -> float | None:
    """Return the share of λ in the curvature along the systems' solution x, λ‖x‖²/-gᵀx."""
    slope, norm = -float(quadratic.asked @ whole), quadratic.norm(whole)
    return min(1.0, strength * norm / slope * norm) if slope > 0.0 else None


def gradient_proposal(terms: Terms) -> Proposal:
    r"""Return a step along -g as long as damped Newton's would be on that line, at most Δ.

    With u = B·g/‖B·g‖, B the lengths β over the longest and g as it was clipped, the step is
    -β·t·u, where t = gᵀu/(λ + max(uᵀHu, 0)). Where H is not finite t = gᵀu/λ, and the model is the
    slope alone.

    Cost: one product.
    """
    longest = float(terms.lengths.max())
    asked = terms.asked.double()
    pull = asked * (terms.lengths / longest) if longest > 0.0 else torch.zeros_like(asked)
    size = safe_norm(pull)
    if size == 0.0:
        still = torch.zeros_like(terms.gradient)
        return Proposal(origin="gradient", candidates=(Candidate(still, 0.0, 0.0),))
    unit = pull / size
    curvature = float(unit @ (terms.model @ unit.to(terms.gradient.dtype)).double())
    certain = math.isfinite(curvature)
    damped = terms.strength + (max(curvature, 0.0) if certain else 0.0)
    length = longest * (float(unit @ asked) / damped if damped > 0.0 else math.inf)
    clipped = not length <= terms.radius
    length = terms.radius if clipped else length
    step = (-length * unit).to(terms.gradient.dtype)
    slope = -length * float(unit @ terms.gradient.double())
    bend = length * curvature * length if certain else 0.0
    return Proposal(
        origin="gradient",
        candidates=(Candidate(step, slope, bend),),
        clipped=clipped,
        products=1,
        certain=certain,
    )


def eigenvector_proposal(terms: Terms, lowest: LowestPair) -> Proposal:
    """Return both steps of B·v as far as Δ, for the lowest eigenvector v of B·H·B, B = min(β, 1).

    A parameter whose β is 0 stays, and a small β makes the step short.
    """
    moved = terms.radius * terms.lengths.clamp(max=1.0) * lowest.vector.double()
    gradient = terms.gradient.double()
    if float(gradient @ moved) > 0.0:
        moved = -moved
    slope = float(gradient @ moved)
    along = moved.to(terms.gradient.dtype)
    curved = terms.radius * lowest.value * terms.radius
    return Proposal(
        origin="eigenvector",
        candidates=(Candidate(along, slope, curved), Candidate(-along, -slope, curved)),
        note=(
            f"stationary, but the Hessian curves down ({lowest.value:.3g} against a norm of "
            f"{lowest.norm:.3g}): a step along its lowest eigenvector"
        ),
    )
