"""A step whose damping sets itself: solve, judge by the true loss, and learn λ from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.bend import Bend
from qnewton.optimizer.damped_systems import LEFT, DampedSystems, Solved, joined_directions
from qnewton.optimizer.damping_rule import Bounds, StepResult, next_rule
from qnewton.optimizer.damping_state import begin_step, present_ceiling, present_floor
from qnewton.optimizer.data_change import leave_loss
from qnewton.optimizer.line_search import MOST_TRIES, LineSearch
from qnewton.optimizer.local_loss import LocalLoss
from qnewton.optimizer.momentum import keep_step
from qnewton.optimizer.own_judge import promise
from qnewton.optimizer.proposals import (
    Proposal,
    Terms,
    eigenvector_proposal,
    gradient_proposal,
    newton_proposal,
)
from qnewton.optimizer.rest import rest_from, resting
from qnewton.optimizer.settings import asked_of_squares, refuse_of_squares
from qnewton.optimizer.step_context import Evaluated, NewtonUpdate, StepContext, TakenStep
from qnewton.optimizer.trial_loss import TrialLoss
from qnewton.optimizer.update import Applied
from qnewton.optimizer.weight_decay import Decay, decay_weights
from qnewton.records import Convergence, DampingRecord

_SETTLED = 2  # steps in a row that the loss does not show, before it is at its rounding
_LOOK_AGAIN = 10  # steps from one look for a saddle that found none to the next


@dataclass(frozen=True)
class _Began:
    """The first solution that a step tried.

    Attributes:
        strength: λ.
        share: λ‖x‖²/-gᵀx.
    """

    strength: float
    share: float | None


class AutomaticDamping:
    """Levenberg-Marquardt with a trust radius.

    What was found of the closure is kept from step to step: whether it differentiates inside.
    """

    needs_graph = True

    def __init__(self) -> None:
        self._trials_need_graph = False

    def take(self, context: StepContext, evaluated: Evaluated) -> TakenStep:
        """Solve, try, and move the parameters or put them back.

        Whatever numbers come up, there is a step to judge: where the systems have no usable
        solution it goes along -g. Trials of the loss count as ``update``.
        """
        skipped, evaluation = evaluated.reason_to_skip(), evaluated.evaluation
        loss = LocalLoss(context, evaluated)
        # The sign is asked for first: it raises where some groups maximize and others do not.
        held = skipped is None and bool(loss.sign) and not any(loss.lengths.values())
        if held:
            skipped = "every lr is 0, so nothing may move"
        if skipped is not None:
            evaluation.release()
            return TakenStep(skipped=skipped, held=held)
        rested = resting(loss)
        if rested is not None:
            leave_loss(context.memory, evaluation.judged_loss)
            return rested
        _check_squares(loss)
        loss = loss.in_its_metric()
        assert evaluated.beginning is not None
        trial = TrialLoss(
            evaluated.again,
            evaluated.beginning,
            evaluation.loss_gradients or evaluation.gradients,
            self._trials_need_graph,
            keeps_graph=loss.residuals is not None,
        )
        taken = _take_step(loss, trial)
        self._trials_need_graph = trial.needs_graph
        leave_loss(context.memory, _left(evaluated.evaluation.judged_loss, loss.sign, taken))
        return taken


def _left(loss: float, sign: float, taken: TakenStep) -> float | None:
    """Return the loss where a step left the parameters; ``None`` where nobody looked."""
    if taken.skipped is not None or taken.damping is None:
        return loss
    change = taken.damping.actual if taken.damping.decayed is None else taken.damping.decayed
    return None if change is None else loss + sign * change


def _check_squares(loss: LocalLoss) -> None:
    """Raise if a group asks for what this loss is not: a sum of squares."""
    groups, curvature = loss.context.settings.groups, loss.evaluated.curvature
    asked = asked_of_squares(groups) is not None
    curvature.want_squares(asked)
    if asked:
        reason = curvature.never_squares(loss.evaluated.evaluation)
        if reason is not None:
            refuse_of_squares(groups, reason)


def _take_step(loss: LocalLoss, trial: TrialLoss) -> TakenStep:
    context, memory = loss.context, loss.context.memory
    systems = DampedSystems(loss)
    kind = systems.kind
    model = loss.quadratic(kind)
    with context.clock.stage("curvature"):
        begin_step(memory, loss.gradient, model, loss.size)
        strength, radius = memory.strength, memory.radius
        ceiling = present_ceiling(strength, loss.gradient, model, loss.rounding, context.seed)
    solved = systems.solve_somehow(min(strength, ceiling))
    if solved.kind != kind:
        model = loss.quadratic(solved.kind)
    squares = solved.kind == "ggn" and loss.residuals is not None
    terms = Terms(loss.gradient, loss.asked, model, solved.strength, radius, loss.flat_lengths)
    with context.clock.stage("update"):
        proposal, failure = _proposal(loss, terms, solved.update, bounded=not squares)
    proposals, survey_products = [proposal], solved.survey_products
    hidden = -proposal.candidates[0].change() <= loss.rounding
    if hidden or (loss.is_flat and not squares):
        away, products = _away_from_saddle(loss, terms, proposal.candidates[0].change())
        proposals, survey_products = [*away, proposal], survey_products + products
    loss.evaluated.evaluation.release()
    with context.clock.stage("update"):
        bend = _bend(loss, trial, systems, solved) if squares else None
        search, count = _first_that_descends(loss, trial, proposals, bend)
        began = _Began(solved.strength, proposal.share)
        while bend is not None and count < MOST_TRIES and _is_refused(search):
            solved = systems.again(solved)
            terms = replace(terms, strength=solved.strength)
            proposal, failure = _proposal(loss, terms, solved.update, bounded=False)
            bend = _bend(loss, trial, systems, solved)
            search = _search(loss, trial, proposal, bend)
            count += search.count
        decay = decay_weights(loss, trial) if search.length > 0.0 else Decay()
    proposal = search.proposal
    bounds = Bounds(
        present_floor(proposal.candidates[0].step, proposal.candidates[0].bend), ceiling
    )
    result = _result(loss, search, began, solved.strength)
    hidden = result.refused and result.noise
    rule = next_rule(began.strength if hidden else solved.strength, radius, result, bounds)
    memory.damping, memory.radius = rule.strength, rule.radius
    if solved.kind == "ggn" and search.predicted is not None:
        leaves = -search.predicted < LEFT * abs(loss.value)
        memory.slow = memory.slow + 1 if leaves else 0
    converged = None
    if decay.change is None:
        falls = rule.strength < min(strength, ceiling)
        converged = _convergence(loss, search, result, falls)
    record = DampingRecord(
        strength=solved.strength,
        next_strength=rule.strength,
        radius=radius,
        next_radius=rule.radius,
        curvature=solved.kind,
        predicted=search.predicted,
        actual=search.actual,
        ratio=search.ratio if search.ratio is None or math.isfinite(search.ratio) else None,
        tries=count + decay.tries,
        products=proposal.products,
        survey_products=survey_products,
        length=0.0 if decay.refusal else search.length,
        clipped=proposal.clipped,
        negative_curvature=proposal.note or solved.negative,
        reason=rule.reason
        if trial.error is None
        else f"{rule.reason}; a trial ended in {trial.error}",
        origin=proposal.origin,
        failure=failure,
        floor=bounds.floor,
        ceiling=bounds.ceiling if math.isfinite(bounds.ceiling) else None,
        converged=converged,
        decayed=None if decay.refusal else decay.change,
    )
    update = replace(solved.update, abandoned=(*solved.update.abandoned, *systems.aside))
    if record.length == 0.0:
        last = "" if trial.error is None else f"; the last error was {trial.error}"
        skipped = f"{decay.refusal or 'no length tried lowers the loss'}{last}"
        keep_step(loss, torch.zeros_like(loss.gradient))
        return TakenStep(update, skipped=skipped, damping=record)
    moved = loss.metric.movement(search.taken)
    keep_step(loss, moved)
    promised = None if search.predicted is None else -search.predicted
    promise(memory, loss.parameters, moved, promised)
    slope = loss.evaluated.evaluation.loss_gradient(loss.parameters)
    cosine = _cosine(moved, loss.sign * slope)
    applied = Applied(safe_norm(moved), cosine, finite=True, decay_norm=decay.norm)
    return TakenStep(update, applied, damping=record)


def _is_refused(search: LineSearch) -> bool:
    """Return whether a larger λ is to be tried, for the whole step of the systems is too long."""
    return search.length == 0.0 and search.proposal.origin == "newton"


def _bend(loss: LocalLoss, trial: TrialLoss, systems: DampedSystems, solved: Solved) -> Bend:
    assert loss.residuals is not None
    return Bend(
        loss.residuals, lambda: trial.root, lambda target: systems.solved_for(target, solved)
    )


def _proposal(
    loss: LocalLoss, terms: Terms, update: NewtonUpdate, bounded: bool
) -> tuple[Proposal, str | None]:
    """Return the step to judge, and why it is along -g if it is.

    Args:
        loss: The loss.
        terms: What the step is made from.
        update: What came of the systems.
        bounded: Whether Δ bounds the systems' step; else λ alone does.
    """
    failure = update.failure or update.indefinite
    if update.directions is not None:
        within = terms if bounded else replace(terms, radius=math.inf)
        made = newton_proposal(within, *joined_directions(loss, update))
        if isinstance(made, Proposal):
            return made, None
        failure = made
    return gradient_proposal(terms), failure or "no block has a direction"


def _away_from_saddle(
    loss: LocalLoss, terms: Terms, predicted: float
) -> tuple[list[Proposal], int]:
    """Return ±Δ·v along the lowest eigenvector if it promises more, and the products it took."""
    memory = loss.context.memory
    if memory.step < memory.saddle_from:
        return [], 0
    lowest = loss.lowest("hessian", terms.lengths.clamp(max=1.0))
    if lowest is not None and lowest.negative:
        away = eigenvector_proposal(terms, lowest)
        if away.candidates[0].bend / 2 < predicted:
            return [away], loss.products_spent(lowest)
    memory.saddle_from = memory.step + _LOOK_AGAIN
    return [], loss.products_spent(lowest)


def _first_that_descends(
    loss: LocalLoss, trial: TrialLoss, proposals: Sequence[Proposal], bend: Bend | None
) -> tuple[LineSearch, int]:
    """Take the first proposal of which some length lowers the loss.

    Returns:
        What came of it, or of the last one; how often the loss was evaluated in all.
    """
    memory, (first, *others) = loss.context.memory, proposals
    search = _search(loss, trial, first, bend)
    count = search.count
    for proposal in others:
        if search.length > 0.0:
            break
        # Along an eigenvector the model promised more than there is.
        memory.saddle_from = memory.step + _LOOK_AGAIN
        search = _search(loss, trial, proposal, bend)
        count += search.count
    return search, count


def _search(loss: LocalLoss, trial: TrialLoss, proposal: Proposal, bend: Bend | None) -> LineSearch:
    """Try lengths of a step; one alone where a larger λ at hand shortens and turns it."""
    along = bend if proposal.origin == "newton" else None
    lengths = MOST_TRIES if along is None else 1
    search = LineSearch(
        loss.parameters,
        lambda: loss.whole(trial()),
        loss.value,
        proposal,
        lengths,
        along,
        loss.metric,
    )
    search.run(loss.rounding if proposal.certain else 0.0)
    return search


def _result(loss: LocalLoss, search: LineSearch, began: _Began, strength: float) -> StepResult:
    """Return what λ learns from a step that ended with ``strength``."""
    proposal, refused, noise = search.proposal, search.length == 0.0, False
    if refused and search.actual is not None and search.predicted is not None:
        # The shortest length is so short that only rounding can have changed the loss there.
        eps = torch.finfo(loss.gradient.dtype).eps
        moves = eps * loss.size
        shortest = search.shortest * safe_norm(proposal.candidates[0].step)
        noise = -search.predicted <= loss.rounding or search.actual == 0.0 or shortest <= moves
    return StepResult(
        ratio=search.ratio,
        step_norm=search.step_norm,
        clipped=proposal.clipped,
        refused=refused,
        unsolved=proposal.origin == "gradient" and proposal.certain,
        raised=strength > began.strength,
        # Where rounding hides the step at every λ tried, it is the smallest that tells.
        share=began.share if noise else proposal.share,
        noise=noise,
    )


def _convergence(
    loss: LocalLoss, search: LineSearch, result: StepResult, falls: bool
) -> Convergence | None:
    """Return why further steps can do nothing more, if that is so.

    Args:
        loss: The loss.
        search: What was tried on it.
        result: What λ learned from that.
        falls: Whether the next λ is smaller than the one that this step was asked for with.
    """
    memory, newton = loss.context.memory, search.proposal.origin == "newton"
    # A large λ makes steps short, and the next one is smaller.
    free = newton and (result.share is None or result.share <= 0.5)
    if search.ratio is not None and not (result.refused and result.noise):
        memory.settled = 0
    elif not falls and (newton or result.refused):
        # Negative curvature may hold λ so large that steps stay short: it does not fall either.
        memory.settled += 1
    if safe_norm(loss.gradient) == 0.0 and search.step_norm == 0.0:
        return Convergence.GRADIENT
    if memory.settled >= _SETTLED:
        if result.refused:
            rest_from(loss)
        return Convergence.LOSS
    lost = search.step_norm <= torch.finfo(loss.gradient.dtype).eps * loss.size
    return Convergence.STEP if free and search.length > 0.0 and lost else None


def _cosine(taken: Tensor, gradient: Tensor) -> float | None:
    norms = safe_norm(taken), safe_norm(gradient)
    if not (norms[0] and norms[1]):
        return None
    return -float((taken.double() / norms[0]) @ (gradient.double() / norms[1]))
