"""A step whose damping sets itself: solve, judge by the true loss, and learn λ from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qnewton.curvature import Curvature, Evaluation, Kind
from qnewton.operators import DenseOperator, LinearSystem, NegatedOperator, SymmetricOperator
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.damping_rule import GROWTH, first_strength, next_rule
from qnewton.optimizer.newton import NOTHING_FOUND, NewtonUpdate
from qnewton.optimizer.quadratic import QuadraticModel
from qnewton.optimizer.replicas import AveragedOperator, Replicas
from qnewton.optimizer.trial import TrialLoss
from qnewton.optimizer.tries import Tries
from qnewton.optimizer.update import NOT_APPLIED, Applied
from qnewton.records import DampingRecord
from qnewton.survey.lowest import SMALL, lowest_pair

_ROUNDINGS = 8.0  # units in the loss's last place that count as rounding
_SHIFTS = 6  # how often λ is raised above a negative eigenvalue before the step is given up
_MOST_SUBSPACE = 16  # blocks whose directions are put together by cross terms
_FLAT = 1e-4  # ‖g‖ against the usual, below which a point may be a saddle
_AWAY = 1e-2  # share of Δ from a saddle whose gradient counts as usual
_MOST_WAIT = 64  # steps on the convex matrix between looks at the Hessian

_BEGINNING = {"exact_from": 0, "exact_wait": 1, "saddle_from": 0}
"""Steps at which the Hessian, and a stationary point, are looked at again; as a run begins."""

Solve = Callable[[list[LinearSystem], float, float], NewtonUpdate]


@dataclass(frozen=True)
class Judged:
    """What came of a self-damped step.

    Attributes:
        found: The blocks, their records, and the directions.
        applied: What was done to the parameters.
        record: How it was judged; ``None`` if there was no direction to judge.
        skipped: Why nothing was changed.
    """

    found: NewtonUpdate
    applied: Applied
    record: DampingRecord | None
    skipped: str | None


@dataclass
class SelfDampedStep:
    """One step of Levenberg-Marquardt with a trust radius.

    Attributes:
        curvature: Makes the systems.
        evaluation: The loss at the present parameters, with its graph.
        counters: The optimizer's state: λ, Δ and when to look at the Hessian again.
        lengths: β of each parameter, by its id.
        sign: -1 where the loss is maximised.
        solve: Solves systems at a λ, to a relative residual if the solver iterates.
        trial: The loss at other parameters.
        replicas: Processes that must take the same step.
        seed: Seeds the look for negative curvature.
        clock: Told every stage.
    """

    curvature: Curvature
    evaluation: Evaluation
    counters: dict[str, Any]
    lengths: dict[int, float]
    sign: float
    solve: Solve
    trial: TrialLoss
    replicas: Replicas | None
    seed: int
    clock: StageClock

    def take(self) -> Judged:
        """Solve, try, and move the parameters or put them back.

        Raises:
            FloatingPointError: If the curvature is not finite.
        """
        parameters = self.curvature.parameters
        # The loss that the trials judge is not clipped; the right-hand side may be.
        gradient = self.sign * self.evaluation.loss_gradient(parameters)
        for name, beginning in _BEGINNING.items():
            self.counters.setdefault(name, beginning)
        kind, negative = self._kind(), None
        model = self._quadratic(kind)
        with self.clock.stage("curvature"):
            self._begin(gradient, model, parameters)
        strength = float(self.counters["damping"])
        found = self._solved(kind, strength)
        if found.indefinite is not None:
            negative = found.indefinite
            kind, found, strength = self._without_negative_curvature(kind, found, strength)
            model = self._quadratic(kind)
        elif any(a.solver == "absolute" for b in found.blocks for a in b.attempts):
            negative = "a factorisation met it; eigenvalues are taken by their size"
        if found.update is None:
            self.counters["damping"] = strength * GROWTH
            return Judged(found, NOT_APPLIED, None, found.failure or found.indefinite)
        directions, lengths = self._directions(found, parameters)
        with self.clock.stage("update"):
            asked = self.sign * self.evaluation.gradient(parameters)
            quadratic = QuadraticModel.of(directions, gradient, model, asked)
        coefficients = quadratic.minimiser(strength) * lengths
        radius = float(self.counters["radius"])
        norm = quadratic.norm(coefficients)
        clipped = norm > radius
        if clipped:
            coefficients = coefficients * (radius / norm)
        rounding = self._rounding()
        step = (quadratic.directions.double() @ coefficients).to(gradient.dtype)
        predicted = quadratic.change(coefficients)
        before = self.sign * self.evaluation.judged_loss
        bends = None
        if -predicted <= rounding or self._is_flat(gradient):
            bends = self._look_for_negative_curvature(gradient, radius, predicted)
        if bends is not None:
            candidates, curved, negative = bends
            slope = [float(gradient.double() @ c.double()) for c in candidates]
            tries = Tries(parameters, self.loss, before, candidates, slope, [curved, curved])
        else:
            slope_along = float(quadratic.slope @ coefficients)
            bend = float(coefficients @ quadratic.curvature @ coefficients)
            tries = Tries(parameters, self.loss, before, [step], [slope_along], [bend])
        self.evaluation.release()
        with self.clock.stage("update"):
            tries.run(rounding)
        rule = next_rule(
            strength,
            radius,
            ratio=tries.ratio,
            step_norm=tries.step_norm,
            clipped=clipped,
            refused=tries.length == 0.0,
            floor=float(self.counters["damping_floor"]),
        )
        self.counters["damping"], self.counters["radius"] = rule.strength, rule.radius
        met = self.trial.error
        record = DampingRecord(
            strength=strength,
            next_strength=rule.strength,
            radius=radius,
            next_radius=rule.radius,
            curvature=kind,
            predicted=tries.predicted,
            actual=tries.actual,
            ratio=tries.ratio if tries.ratio is None or math.isfinite(tries.ratio) else None,
            tries=tries.count,
            products=quadratic.directions.shape[1],
            length=tries.length,
            clipped=clipped,
            negative_curvature=negative,
            reason=rule.reason if met is None else f"{rule.reason}; a trial ended in {met}",
        )
        if tries.length == 0.0:
            skipped = "no length tried lowers the loss"
            skipped = skipped if met is None else f"{skipped}; the last error was {met}"
            return Judged(found, NOT_APPLIED, record, skipped)
        taken = tries.taken
        norms = safe_norm(taken), safe_norm(gradient)
        # Each in its own unit, since the products of very long vectors leave the range.
        inner = -float(
            (taken.double() / (norms[0] or 1.0)) @ (gradient.double() / (norms[1] or 1.0))
        )
        cosine = inner if norms[0] and norms[1] else None
        return Judged(found, Applied(norms[0], cosine, finite=True), record, None)

    def loss(self) -> float:
        """Return the loss at whatever the parameters are, of all replicas, sign included."""
        value = self.trial()
        if self.replicas is not None:
            example = self.curvature.parameters[0]
            value = float(self.replicas.average_(example.new_tensor([value])))
        return self.sign * value

    def _kind(self) -> Kind:
        convex = self.curvature.kind == "hessian" and self.counters["exact_from"] > self._step
        return "ggn" if convex else self.curvature.kind

    @property
    def _step(self) -> int:
        return int(self.counters["step"])

    def _quadratic(self, kind: Kind) -> SymmetricOperator:
        operator = self.curvature.quadratic(self.evaluation, kind)
        if self.replicas is not None:
            operator = AveragedOperator(operator, self.replicas)
        return operator if self.sign > 0 else NegatedOperator(operator)

    def _surveyed(self, kind: Kind) -> SymmetricOperator:
        """Return the curvature of all parameters, by its entries where those are few.

        Forming takes as many products as a short Lanczos run, or fewer, in batches.
        """
        whole = self.replicas is None and len(self.curvature.blocks) == 1
        if not whole or self.curvature.blocks[0].n > SMALL:
            return self._quadratic(kind)
        [system] = self.curvature.systems(self.evaluation, kind)
        operator = DenseOperator(system.operator.dense())
        return operator if self.sign > 0 else NegatedOperator(operator)

    def _begin(
        self, gradient: Tensor, model: SymmetricOperator, parameters: Sequence[Tensor]
    ) -> None:
        if self.counters.get("damping") is not None:
            return
        norm = safe_norm(gradient)
        along = 0.0
        if norm > 0.0:
            unit = gradient / norm
            along = float(unit.double() @ (model @ unit).double())
        size = math.hypot(*(safe_norm(p.detach()) for p in parameters))
        strength = first_strength(along)
        radius = max(1.0, size)
        # A run may begin next to a saddle: then the Hessian tells what a gradient would be away.
        self.counters["usual_gradient"] = max(norm, _AWAY * abs(along) * radius)
        self.counters["damping"] = strength
        self.counters["damping_floor"] = strength * torch.finfo(gradient.dtype).eps
        self.counters["radius"] = radius

    def _solved(self, kind: Kind, strength: float) -> NewtonUpdate:
        with self.clock.stage("curvature"):
            systems = self.curvature.systems(self.evaluation, kind)
        if self.replicas is not None:
            systems = self.replicas.average_curvature(systems)
        return self.solve(systems, strength, self._forcing())

    def _without_negative_curvature(
        self, kind: Kind, found: NewtonUpdate, strength: float
    ) -> tuple[Kind, NewtonUpdate, float]:
        """Solve with the Gauss-Newton matrix if there is one, else with λ above -λ_min."""
        if kind == "hessian" and self.evaluation.outputs:
            try:
                convex = self._solved("ggn", strength)
            except ValueError:
                # No Gauss-Newton matrix for this closure, for a reason that QNewton(curvature=
                # "ggn") would say: the shift below needs none.
                convex = NOTHING_FOUND
            if convex.update is not None:
                wait = min(2 * int(self.counters["exact_wait"]), _MOST_WAIT)
                self.counters["exact_wait"] = wait
                self.counters["exact_from"] = self._step + wait
                return "ggn", convex, strength
        with self.clock.stage("survey"):
            lowest = lowest_pair(self._surveyed(kind), self.seed)
        strength = max(GROWTH * strength, -2.0 * lowest.value)
        for _ in range(_SHIFTS):
            found = self._solved(kind, strength)
            if found.indefinite is None:
                break
            strength *= GROWTH
        return kind, found, strength

    def _directions(
        self, found: NewtonUpdate, parameters: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return D, [N, K], and β of each column."""
        assert found.update is not None
        known = {id(p): direction for p, direction in found.update.directions}
        pieces = [
            known[id(p)].flatten() if id(p) in known else torch.zeros_like(p).flatten()
            for p in parameters
        ]
        blocks = self.curvature.blocks
        of_block = {id(p): i for i, block in enumerate(blocks) for p in block.parameters}
        betas = [max(self.lengths[id(p)] for p in block.parameters) for block in blocks]
        # β is the longest of the block; a parameter whose own is shorter moves by its share.
        pieces = [
            piece * (self.lengths[id(p)] / (betas[of_block[id(p)]] or 1.0))
            for p, piece in zip(parameters, pieces, strict=True)
        ]
        if len(blocks) > _MOST_SUBSPACE:
            return torch.cat(pieces)[:, None], torch.tensor([betas[0]], dtype=torch.float64)
        columns = [
            torch.cat(
                [
                    piece if of_block[id(p)] == i else torch.zeros_like(piece)
                    for p, piece in zip(parameters, pieces, strict=True)
                ]
            )
            for i in range(len(blocks))
        ]
        device = pieces[0].device
        return torch.stack(columns, 1), torch.tensor(betas, dtype=torch.float64, device=device)

    def _forcing(self) -> float:
        """Return √(‖g‖/usual): far from a minimum a rough direction does, near it does not."""
        gradient = self.evaluation.loss_gradient(self.curvature.parameters)
        usual = float(self.counters["usual_gradient"])
        return math.sqrt(safe_norm(gradient) / usual) if usual > 0.0 else 1.0

    def _is_flat(self, gradient: Tensor) -> bool:
        return safe_norm(gradient) <= _FLAT * float(self.counters["usual_gradient"])

    def _rounding(self) -> float:
        eps = torch.finfo(self.curvature.parameters[0].dtype).eps
        return _ROUNDINGS * eps * abs(self.evaluation.judged_loss)

    def _look_for_negative_curvature(
        self, gradient: Tensor, radius: float, predicted: float
    ) -> tuple[list[Tensor], float, str] | None:
        """Return ±Δ·v along the lowest eigenvector where it promises more than the step does."""
        if self._step < int(self.counters["saddle_from"]):
            return None
        with self.clock.stage("survey"):
            lowest = lowest_pair(self._surveyed("hessian"), self.seed)
        if not lowest.negative or radius**2 * lowest.value / 2 >= predicted:
            self.counters["saddle_from"] = self._step + 10
            return None
        downhill = -1.0 if float(gradient @ lowest.vector) > 0 else 1.0
        along = downhill * radius * lowest.vector
        said = (
            f"stationary, but the Hessian curves down ({lowest.value:.3g} against a norm of "
            f"{lowest.norm:.3g}): a step along its lowest eigenvector"
        )
        return [along, -along], radius**2 * lowest.value, said
