"""What a fit found, and why it ended."""

from dataclasses import dataclass
from enum import Enum, IntEnum

from torch import Tensor


class Status(IntEnum):
    """Why a fit ended, numbered as SciPy numbers it; a positive one is a success."""

    STOPPED = -2
    EVALUATIONS = 0
    GRADIENT = 1
    COST = 2
    STEP = 3
    COST_AND_STEP = 4

    @property
    def message(self) -> str:
        """One sentence that says why."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.STOPPED: "The callback raised StopIteration.",
    Status.EVALUATIONS: "The largest number of evaluations is reached; raise max_nfev.",
    Status.GRADIENT: "The gradient is as small as gtol asks.",
    Status.COST: "The cost falls by less than ftol asks.",
    Status.STEP: "The step is as small as xtol asks.",
    Status.COST_AND_STEP: "Fall of the cost and step are as small as ftol and xtol ask.",
}


class JacobianKind(Enum):
    """How a Jacobian was made; the value says it in words."""

    EXPANDED = "one backward pass over parameters expanded over the residuals"
    ROWS = "batched backward passes, one per residual"
    COLUMNS = "batched forward products, one per parameter"
    GIVEN = "the function given"
    DIFFERENCES = "finite differences"


@dataclass(frozen=True, eq=False)
class FitResult:
    """A minimum of a sum of squares, with SciPy's fields as tensors.

    Attributes:
        x: The parameters found, shape [N], in the dtype and on the device of ``x0``.
        cost: ½ Σ C²·ρ((f/C)²) there, C the ``f_scale``; ½‖f‖² for the linear loss.
        fun: The residuals f, shape [M].
        jac: Their Jacobian, shape [M, N]; with a robust loss scaled so that JᵀJ approximates the
            Hessian of the cost, as in SciPy.
        grad: The gradient of the cost, shape [N].
        optimality: Its largest entry; with bounds each entry is scaled by the distance to the
            bound that it points to.
        active_mask: -1 at a lower bound, 1 at an upper bound, else 0; int64, shape [N].
        nfev: Evaluations of the residuals, those for accelerations included; not those of finite
            differences, nor the two that prove the Jacobian.
        njev: Evaluations of the Jacobian.
        status: Why the fit ended.
        covariance: Of the parameters, s²·(JᵀJ)⁻¹ with s² = 2·cost/(M - N), shape [N, N]; ``None``
            where M ≤ N or a combination of parameters has no effect.
        iterations: Steps accepted.
        jacobian: How the Jacobian was made.
        second_order_from: The first step whose model held second derivatives of the residuals,
            by a secant; ``None`` where Gauss-Newton did it alone.
    """

    x: Tensor
    cost: float
    fun: Tensor
    jac: Tensor
    grad: Tensor
    optimality: float
    active_mask: Tensor
    nfev: int
    njev: int
    status: Status
    covariance: Tensor | None
    iterations: int
    jacobian: JacobianKind
    second_order_from: int | None

    @property
    def success(self) -> bool:
        """Whether a tolerance ended the fit."""
        return self.status > 0

    @property
    def message(self) -> str:
        """Why the fit ended, in one sentence."""
        return self.status.message

    @property
    def standard_errors(self) -> Tensor | None:
        """Standard deviations of the parameters, shape [N]; ``None`` without a covariance."""
        return None if self.covariance is None else self.covariance.diagonal().sqrt()

    def __str__(self) -> str:
        lines = [
            self.message,
            f"cost {self.cost:.6g}, largest gradient {self.optimality:.2g}, {self.iterations} "
            f"steps, {self.nfev} evaluations, {self.njev} Jacobians ({self.jacobian.value})",
        ]
        if self.second_order_from is not None:
            lines.append(f"second derivatives of the residuals from step {self.second_order_from}")
        lines += [f"  x[{i}] = {entry}" for i, entry in enumerate(self._entries())]
        return "\n".join(lines)

    def _entries(self) -> list[str]:
        names = {-1: ", at its lower bound", 0: "", 1: ", at its upper bound"}
        errors = self.standard_errors
        spread = [""] * len(self.x) if errors is None else [f" ± {e:.2g}" for e in errors.tolist()]
        return [
            f"{value:.8g}{error}{names[active]}"
            for value, error, active in zip(
                self.x.tolist(), spread, self.active_mask.tolist(), strict=True
            )
        ]
