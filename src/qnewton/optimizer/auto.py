"""A step whose damping sets itself: solve, judge by the true loss, and learn λ from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from qnewton.cost.kernels import ROWS_A_CALL
from qnewton.curvature import Curvature, Evaluation, Kind, RouteMemory
from qnewton.operators import (
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    NegatedOperator,
    SymmetricOperator,
)
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.damping_rule import GROWTH, Bounds, Outcome, next_rule
from qnewton.optimizer.damping_state import (
    begin_step,
    largest_strength,
    present_ceiling,
    present_floor,
)
from qnewton.optimizer.movable import movable_systems, scaled_operator
from qnewton.optimizer.newton import NOTHING_FOUND, NewtonUpdate
from qnewton.optimizer.proposals import (
    Proposal,
    Terms,
    eigenvector_proposal,
    gradient_proposal,
    newton_proposal,
)
from qnewton.optimizer.replicas import AveragedOperator, Replicas
from qnewton.optimizer.trial import TrialLoss
from qnewton.optimizer.tries import Tries
from qnewton.optimizer.update import NOT_APPLIED, Applied
from qnewton.records import BlockRecord, DampingRecord
from qnewton.survey.lowest import SMALL, LowestPair, lowest_pair

_ROUNDINGS = 8.0  # units in the loss's last place that count as rounding
_SHIFTS = 6  # how often λ is raised above a negative eigenvalue before the step is given up
_MOST_SUBSPACE = 16  # blocks whose directions are put together by cross terms
_FLAT = 1e-3  # ‖g‖ against the usual, below which a point may be a saddle
_LOOK_AGAIN = 10  # steps from one look for a saddle that found none to the next
_MOST_WAIT = 64  # steps on the convex matrix between looks at the Hessian

Solve = Callable[[list[LinearSystem], float, float], NewtonUpdate]


@dataclass(frozen=True)
class Judged:
    """What came of a self-damped step.

    Attributes:
        found: The blocks, their records, and the directions.
        applied: What was done to the parameters.
        record: How it was judged; ``None`` where nothing may move.
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
        memory: What earlier steps found of the curvature's routes.
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
    memory: RouteMemory
    sign: float
    solve: Solve
    trial: TrialLoss
    replicas: Replicas | None
    seed: int
    clock: StageClock
    _made: dict[Kind, list[LinearSystem]] = field(default_factory=dict)
    _abandoned: list[BlockRecord] = field(default_factory=list, init=False)
    _survey_products: int = field(default=0, init=False)

    def take(self) -> Judged:
        """Solve, try, and move the parameters or put them back.

        Whatever numbers come up, there is a step to judge: where the systems have no usable
        solution it goes along -g.
        """
        parameters = self.curvature.parameters
        # The loss that the trials judge is not clipped; the right-hand side may be.
        gradient = self.sign * self.evaluation.loss_gradient(parameters)
        asked = self.sign * self.evaluation.gradient(parameters)
        if not any(self.lengths.values()):
            return Judged(NOTHING_FOUND, NOT_APPLIED, None, "every lr is 0, so nothing may move")
        eps = torch.finfo(gradient.dtype).eps
        rounding = _ROUNDINGS * eps * abs(self.evaluation.judged_loss)
        kind = self._kind()
        model = self._quadratic(kind)
        with self.clock.stage("curvature"):
            begin_step(self.counters, gradient, model, parameters)
            most = present_ceiling(self.counters, gradient, model, rounding, self.seed)
        strength = min(float(self.counters["damping"]), most)
        radius = float(self.counters["radius"])
        solved = self._solve_somehow(kind, strength)
        found = replace(solved.found, abandoned=tuple(self._abandoned))
        strength = solved.strength
        if solved.kind != kind:
            kind, model = solved.kind, self._quadratic(solved.kind)
        terms = Terms(gradient, asked, model, strength, radius, self._flat_lengths())
        with self.clock.stage("update"):
            proposal, failure = self._proposal(terms, found)
        proposals = [proposal]
        if -proposal.predicted <= rounding or self._is_flat(gradient):
            proposals = [*self._away_from_saddle(terms, proposal.predicted), proposal]
        self.evaluation.release()
        with self.clock.stage("update"):
            proposal, tries, count = self._first_that_descends(proposals, rounding)
        moves = eps * math.hypot(*(safe_norm(p.detach()) for p in parameters))
        outcome = _outcome(tries, proposal, rounding, moves)
        bounds = Bounds(present_floor(proposal.candidates[0], proposal.bends[0]), most)
        rule = next_rule(strength, radius, outcome, bounds)
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
            tries=count,
            products=proposal.products,
            survey_products=self._survey_products,
            length=tries.length,
            clipped=proposal.clipped,
            negative_curvature=proposal.note or solved.negative,
            reason=rule.reason if met is None else f"{rule.reason}; a trial ended in {met}",
            origin=proposal.origin,
            failure=failure,
            floor=bounds.floor,
            ceiling=bounds.ceiling if math.isfinite(bounds.ceiling) else None,
        )
        if tries.length == 0.0:
            skipped = "no length tried lowers the loss"
            skipped = skipped if met is None else f"{skipped}; the last error was {met}"
            return Judged(found, NOT_APPLIED, record, skipped)
        taken = tries.taken
        norms = safe_norm(taken), safe_norm(gradient)
        cosine = None
        if norms[0] and norms[1]:
            units = taken.double() / norms[0], gradient.double() / norms[1]
            cosine = -float(units[0] @ units[1])
        return Judged(found, Applied(norms[0], cosine, finite=True), record, None)

    def loss(self) -> float:
        """Return the loss at whatever the parameters are, of all replicas, sign included."""
        value = self.trial()
        if self.replicas is not None:
            example = self.curvature.parameters[0]
            value = float(self.replicas.average_(example.new_tensor([value])))
        return self.sign * value

    def _kind(self) -> Kind:
        convex = (
            self.curvature.kind == "hessian" and self.counters.get("exact_from", 0) > self._step
        )
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
        [system] = self.curvature.systems(self.evaluation, kind, self.memory)
        operator = DenseOperator(system.operator.dense())
        return operator if self.sign > 0 else NegatedOperator(operator)

    def _systems(self, kind: Kind) -> list[LinearSystem]:
        """Return the systems; of factors, which can be made once alone, the same at every call."""
        systems = self._made.get(kind) or self.curvature.systems(self.evaluation, kind, self.memory)
        if all(isinstance(system.operator, LowRankOperator) for system in systems):
            self._made[kind] = systems
        return list(systems)

    def _solved(self, kind: Kind, strength: float) -> NewtonUpdate:
        try:
            with self.clock.stage("curvature"):
                systems = self._systems(kind)
            if self.replicas is not None:
                systems = self.replicas.average_curvature(systems)
            return self.solve(movable_systems(systems, self.lengths), strength, self._forcing())
        except FloatingPointError as error:
            return NewtonUpdate(failure=str(error))

    def _solve_somehow(self, kind: Kind, strength: float) -> "_Solved":
        """Solve at λ, and where that meets negative curvature in another way."""
        found = self._solved(kind, strength)
        if found.indefinite is None:
            negative = None
            if any(a.solver == "absolute" for b in found.blocks for a in b.attempts):
                negative = "a factorisation met it; eigenvalues are taken by their size"
            return _Solved(found, kind, strength, negative)
        negative = found.indefinite
        self._abandoned += found.blocks
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
                return _Solved(convex, "ggn", strength, negative)
            self._abandoned += convex.blocks
        lowest = self._lowest(kind, self._flat_lengths().sign())  # of what may move
        least = 0.0 if lowest is None else -2.0 * lowest.value
        largest = largest_strength(self.curvature.parameters[0].dtype)
        raised = max(GROWTH * strength, least)
        for shift in range(_SHIFTS):
            if raised > largest:
                break
            if shift:
                self._abandoned += found.blocks
            strength = raised
            found = self._solved(kind, strength)
            if found.indefinite is None:
                break
            raised = GROWTH * strength
        return _Solved(found, kind, strength, negative)

    def _proposal(self, terms: Terms, found: NewtonUpdate) -> tuple[Proposal, str | None]:
        """Return the step to judge, and why it is along -g if it is."""
        failure = found.failure or found.indefinite
        if found.update is not None:
            made = newton_proposal(terms, *self._directions(found, self.curvature.parameters))
            if isinstance(made, Proposal):
                return made, None
            failure = made
        return gradient_proposal(terms), failure or "no block has a direction"

    def _flat_lengths(self) -> Tensor:
        """Return β of every unknown, shape [N], float64."""
        pieces = [
            p.new_full((p.numel(),), self.lengths[id(p)], dtype=torch.float64)
            for p in self.curvature.parameters
        ]
        return torch.cat(pieces)

    def _lowest(self, kind: Kind, lengths: Tensor) -> LowestPair | None:
        """Return the lowest eigenpair of B·H·B, B = diag(lengths); ``None`` if nobody can tell."""
        try:
            with self.clock.stage("survey"):
                operator = scaled_operator(self._surveyed(kind), lengths)
                lowest = lowest_pair(operator, self.seed)
        except (ValueError, ArithmeticError, RuntimeError):
            # Not finite, eigenvalues that do not converge, or a loss without a Hessian (it may
            # have the Gauss-Newton matrix that the run uses): nothing is known of its signs.
            return None
        self._survey_products += lowest.products or math.ceil(operator.n / ROWS_A_CALL)
        return lowest

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

    def _away_from_saddle(self, terms: Terms, predicted: float) -> list[Proposal]:
        """Return ±Δ·v along the lowest eigenvector if it promises more than the step does."""
        if self._step < int(self.counters["saddle_from"]):
            return []
        lowest = self._lowest("hessian", terms.lengths.clamp(max=1.0))
        if lowest is not None and lowest.negative:
            away = eigenvector_proposal(terms, lowest)
            if away.bends[0] / 2 < predicted:
                return [away]
        self.counters["saddle_from"] = self._step + _LOOK_AGAIN
        return []

    def _first_that_descends(
        self, proposals: Sequence[Proposal], rounding: float
    ) -> tuple[Proposal, Tries, int]:
        """Take the first proposal of which some length lowers the loss.

        Returns:
            That proposal, or the last one; what its lengths came to; how often the loss was
            evaluated in all.
        """
        before = self.sign * self.evaluation.judged_loss
        proposal, *others = proposals
        tries = self._tried(proposal, before, rounding)
        count = tries.count
        while others and tries.length == 0.0:
            # Along an eigenvector the model promised more than there is.
            self.counters["saddle_from"] = self._step + _LOOK_AGAIN
            proposal, *others = others
            tries = self._tried(proposal, before, rounding)
            count += tries.count
        return proposal, tries, count

    def _tried(self, proposal: Proposal, before: float, rounding: float) -> Tries:
        tries = Tries(
            self.curvature.parameters,
            self.loss,
            before,
            proposal.candidates,
            proposal.slopes,
            proposal.bends,
        )
        tries.run(rounding if proposal.certain else 0.0)
        return tries


@dataclass(frozen=True)
class _Solved:
    """What came of the systems, with which curvature and λ, and what negative curvature met."""

    found: NewtonUpdate
    kind: Kind
    strength: float
    negative: str | None


def _outcome(tries: Tries, proposal: Proposal, rounding: float, moves: float) -> Outcome:
    """Return what λ learns from a step; ``moves`` is the shortest one that moves a parameter."""
    refused = tries.length == 0.0
    noise = False
    if refused and tries.actual is not None and tries.predicted is not None:
        # The shortest length is so short that only rounding can have changed the loss there.
        shortest = tries.shortest * safe_norm(proposal.candidates[0])
        noise = -tries.predicted <= rounding or tries.actual == 0.0 or shortest <= moves
    return Outcome(
        ratio=tries.ratio,
        step_norm=tries.step_norm,
        clipped=proposal.clipped,
        refused=refused,
        unsolved=proposal.origin == "gradient" and proposal.certain,
        share=proposal.share,
        noise=noise,
    )
