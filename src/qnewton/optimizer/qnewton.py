"""QNewton: Newton's method whose every step is priced before it is solved."""

import dataclasses
import functools
import math
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Unpack

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from qnewton.cost import DEFAULT_AUDIT, Market
from qnewton.cost.krylov import USUAL_PRODUCTS
from qnewton.curvature import (
    Block,
    Curvature,
    Evaluation,
    Kind,
    Partition,
    RouteMemory,
)
from qnewton.operators import LinearSystem
from qnewton.optimizer.attachment import Attachment, LossOf, RepeatableLoss
from qnewton.optimizer.auto import Judged, SelfDampedStep
from qnewton.optimizer.beginning import Beginning
from qnewton.optimizer.blocks import SurveyPlan
from qnewton.optimizer.bookkeeping import reason_to_skip, step_record
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.contract import ContractOptimizer
from qnewton.optimizer.earlier import recall, recall_survey, remember, remember_survey
from qnewton.optimizer.hooks import SolutionHook, StageHook, StepHooks
from qnewton.optimizer.lightning import is_lightning_module, watch_training_step
from qnewton.optimizer.machine import default_calibration
from qnewton.optimizer.newton import NOTHING_FOUND, NewtonUpdate, newton_update
from qnewton.optimizer.old_keywords import Options, OtherKeywords, with_old_keywords
from qnewton.optimizer.options import Classical, Damping, Limits, Quantum
from qnewton.optimizer.refusals import refuse_half_precision
from qnewton.optimizer.replicas import Replicas
from qnewton.optimizer.representation import DENSE_LIMIT, BlockPlan
from qnewton.optimizer.rescale import check_rescaling
from qnewton.optimizer.settings import one_sign
from qnewton.optimizer.step_loss import evaluate_step
from qnewton.optimizer.trainable import TrainableCurvature
from qnewton.optimizer.trial import TrialLoss
from qnewton.optimizer.update import NOT_APPLIED, Gradients, apply_update, descend
from qnewton.optimizer.warmup import Warmup
from qnewton.records import QuantumHardware, StepRecord
from qnewton.scheduler.policy import POLICIES, needs_survey, policy_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_TOLERANCE, _AUTO_TOLERANCE = 1e-6, 0.1

# Above, a factorisation is rarely cheaper than the products conjugate gradients need.
_AUTO_DENSE = 2048

RECORDS_KEPT = 1000
"""Step records kept in memory; a run folder keeps all of them."""


class QNewton(ContractOptimizer):
    r"""Newton's method with damping: θ ← θ + β·x, (prune(H + λI)) x = -g.

    Each step solves one symmetric system a block. The scheduler asks every solver of its
    portfolio for a quote and the policy chooses; what was measured, quoted, chosen and done is
    in :attr:`records`. A step whose loss or gradient is not finite changes no parameter and says
    why in its record. Where the curvature or a direction is not finite, so does one whose λ is a
    number, and one that sets its λ takes a damped step along -g instead.

    Args:
        params: A module, or parameters, named ones, or parameter groups. Without a module the
            curvature is the Hessian by the generic path.
        lr: β, the length of a Newton step; 1 is the full step. What has lr 0 does not move.
        curvature: ``hessian``, the exact one; ``ggn``, generalised Gauss-Newton; ``fisher``, the
            empirical Fisher of a loss that is the mean over the samples it counts. The latter two
            are positive semidefinite for losses convex in the model's output, need a module, and
            need a closure that calls it once.
        blocks: ``full`` (the default with ``damping="auto"``, unless parameter groups are treated
            differently), ``layer`` (the default for a module otherwise) or ``tensor`` (the default
            for parameters otherwise).
        damping: λ, added to the diagonal of every block; or ``auto``, which needs no knob:
            Levenberg-Marquardt on the true reduction of the loss, with a trust radius. Every
            such step evaluates the loss again, at least once, so the closure must give the same
            loss for the same parameters; a step that no length makes descend changes nothing.
            Where the curvature is indefinite the step comes from the Gauss-Newton matrix of the
            same evaluation, from the eigenvalues' sizes, or from a larger λ; each step's
            ``damping`` record says which and why. A :class:`Damping` carries a scale, too.
        prune: ``None``; an int d keeps at most d entries a row; a float p in (0, 1) chooses d so
            that no row loses more than a share 1-p of its mass to the cap.
        policy: ``classical``, ``paper``, ``hybrid``, ``classical-only`` or ``quantum-only``.
        quantum: A :class:`Quantum`, or its machine alone: profile name, path or record; ``None``
            for no quantum quotes. The quantum policies need one.
        classical: The calibration of the classical machine, and its solvers' tolerance.
        limits: The largest blocks that are formed, and that get a system; :attr:`plan` lists them.
        warmup: First-order steps before the first Newton step, or ``auto``, ``paper``, or a
            :class:`Warmup`, which also has the rate of first-order steps.
        seed: Seeds the survey's random starts.
        rescale: Put the blocks' directions together by the Fisher matrix between them, a factor a
            block: layers that lower the same losses would else lower them several times over, and
            the step overshoot. One product a block. Needs ``curvature="fisher"``, one process,
            minimisation, and a damping that is a number.
        maximize: Negate loss, gradient and curvature together, and climb.
        print_every: Print one line about every so many-th step, ``str`` of its record, to standard
            output: step, loss, λ, ρ, solvers, seconds, and why nothing was changed. 0 prints none.
            Of several processes the first prints.
        model: The module that the parameters in ``params`` belong to: its linear layers allow
            the closed form, and ``layer`` blocks.
        process_group: Processes that train the same model on equal shares of the batch, and
            whose gradients and curvature are averaged; by default all of them, once
            ``torch.distributed`` is initialized.
        others: ``foreach``, ``fused``, ``capturable`` and ``differentiable`` are known from
            PyTorch's optimizers and declined. Keywords of release 0.1 that have moved into a value
            (``hardware``, ``calibration``, ``max_dense``, …) still work, with a warning.

    Raises:
        ValueError: If a setting is outside its limits, blocks span groups of different
            treatment, or the parameters are sharded or of a dtype other than float32 or float64.

    Cost:
        One forward and backward pass, the curvature of every block (N² entries), and a
        factorisation (N³/3 operations) a block under the default policy.

    Reference:
        P. Li et al., Hybrid Quantum-Classical Scheduling for Accelerating Neural Network
        Training with Newton's Gradient Descent, arXiv:2405.00252, Algorithm 2.

    Example:
        A quadratic is solved in one undamped step.

        >>> import torch
        >>> w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
        >>> optimizer = QNewton([w], damping=0.0)
        >>> loss = optimizer.step(lambda: (w[0] - 1) ** 2 + 10 * (w[1] + w[0]) ** 2)
        >>> [round(value, 6) for value in w.tolist()]
        [1.0, -1.0]
        >>> optimizer.records[-1].blocks[0].outcome
        'solved'
    """

    kept = (
        "policy",
        "warmup",
        "seed",
        "survey_every",
        "print_every",
        "market",
        "max_dense",
        "rescale",
        "records",
        "_trainable",
        "_process_group",
    )

    def __init__(
        self,
        params: nn.Module | Iterable[Any],
        lr: float | Tensor = 1.0,
        *,
        curvature: Kind = "hessian",
        blocks: Partition | None = None,
        damping: float | Literal["auto"] | Damping = "auto",
        prune: int | float | None = None,
        policy: str = "classical",
        quantum: Quantum | QuantumHardware | str | PathLike[str] | None = None,
        classical: Classical = Classical(),
        limits: Limits = Limits(),
        warmup: int | str | Warmup = 0,
        rescale: bool = False,
        seed: int = 0,
        maximize: bool = False,
        print_every: int = 0,
        model: nn.Module | None = None,
        process_group: "ProcessGroup | None" = None,
        **others: Unpack[OtherKeywords],
    ) -> None:
        options = Options(
            Damping.of(damping), Quantum.of(quantum), classical, limits, Warmup.of(warmup)
        )
        options = with_old_keywords(options, others)
        quantum, classical, limits = options.quantum, options.classical, options.limits
        strength, automatic = options.damping.strength, options.damping.is_automatic
        if limits.max_newton is not None and automatic:
            raise ValueError(
                f"max_newton is {limits.max_newton} with damping={strength!r}; it needs a damping "
                "that is a number, since 'auto' judges all parameters together"
            )
        if rescale:
            check_rescaling(curvature, strength)
        self.rescale = rescale
        chooser = policy_of(policy)
        max_dense = limits.max_dense
        if max_dense is None:
            by_products = automatic and prune is None and not chooser.needs_entries
            max_dense = _AUTO_DENSE if by_products else DENSE_LIMIT
        module = params if isinstance(params, nn.Module) else model
        together = automatic
        if not isinstance(params, nn.Module | Tensor):
            params = list(params)
            together = automatic and not _treated_apart(params)
        if blocks is None:
            blocks = "full" if together else "tensor" if module is None else "layer"
        needs_survey(chooser, quantum.machine)  # raises on one without its machine
        self.policy = policy
        self.warmup = options.warmup
        self.seed = seed
        self.survey_every = quantum.survey_every
        if print_every < 0:
            raise ValueError(
                f"print_every is {print_every}; it must be 0, to print nothing, or more"
            )
        self.print_every = print_every
        self.market = Market(
            calibration=classical.calibration or default_calibration(),
            hardware=quantum.machine,
            epsilon=quantum.epsilon,
            tolerance=classical.tolerance or (_AUTO_TOLERANCE if automatic else _TOLERANCE),
            dtype="float32",
            readout=quantum.readout,
            quantum_price=chooser.quantum_price or "paper",
            audit=quantum.audit or DEFAULT_AUDIT,
            n_qpus=quantum.n_qpus,
        )
        self.records: deque[StepRecord] = deque(maxlen=RECORDS_KEPT)
        self._trainable = TrainableCurvature(
            module,
            curvature,
            blocks,
            max_dense,
            policy,
            convex_too=automatic,
            max_newton=limits.max_newton,
        )
        self.max_dense = max_dense
        self._process_group = process_group
        self._begin_without_hooks()
        defaults: dict[str, Any] = {
            "lr": lr,
            "damping": strength,
            "damping_scale": options.damping.scale,
            "prune": prune,
            "first_order_lr": options.warmup.first_order_lr,
            "maximize": maximize,
        }
        super().__init__(params.parameters() if isinstance(params, nn.Module) else params, defaults)
        self._trainable.of(self.param_groups)  # raises on blocks that cannot be
        if is_lightning_module(module):
            watch_training_step(module, self._attach())

    # PyTorch's stub says the closure returns a float; its own optimizers return tensors.
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step and return what the closure returned, without its graph.

        Args:
            closure: Evaluates the model and returns the loss. It may call ``loss.backward()``
                or only return the loss. It is called once, and once more for every length that a
                step that sets its damping tries; three to six times more, once a model, to check
                second derivatives against differences of gradients. Without a closure the step
                repeats the passes of an attached model (:meth:`attach`); without those, too, it is
                a first-order step on the gradients that are there, with one warning.

        Raises:
            ValueError: If the closure returns nothing a gradient can be taken of or adds to a
                ``.grad`` that it did not clear, the loss cannot be differentiated twice, a
                derivative is wrong, or the model runs in float16.
            BaseException: What the closure raised, but for a numerical error in a trial, which
                refuses that length; parameters, gradients, buffers and random state are then
                what they were before the step.
        """
        curvature = self._trainable.of(self.param_groups)
        if curvature is None:
            return None if closure is None else closure()
        attached = self._attachment is not None and self._attachment.has_passes
        if closure is None and not attached:
            return self._step_without_closure()
        step = self.counters["step"]
        newton = self.counters["newton"] or self.warmup.is_over(step)
        surveys = not newton and self.warmup.surveys(step)
        with ExitStack() as stack:
            if self._attachment is not None:
                stack.enter_context(self._attachment.kept())
            joins = attached and closure is not None  # the passes before it, if it adds to them
            if not (curvature.watches(newton or surveys) or joins):
                return self._step(curvature, closure, newton, surveys, None)
            module = self._trainable.module
            beginning = Beginning(curvature.parameters, module, self.counters)
            stack.enter_context(beginning.kept())
            return self._step(curvature, closure, newton, surveys, beginning)

    def _step(
        self,
        curvature: Curvature,
        closure: Callable[[], Any] | None,
        newton: bool,
        surveys: bool,
        beginning: Beginning | None,
    ) -> Any:
        """Take a step; whoever gives a beginning puts it back if an exception comes out."""
        counters = self.counters
        step = counters["step"]
        device = curvature.parameters[0].device
        clock = StageClock(device, self._hooks.stage_listener(step))
        replicas = Replicas.present(self._process_group)
        curvature.alike = (
            None if replicas is None else functools.partial(replicas.largest, device=device)
        )
        with clock.stage("forward_backward"):
            keep_graph = newton or surveys
            # A compiled model is compiled again where modules are watched, which one that is
            # warmed up on may be spared.
            with beginning.watching() if beginning and keep_graph else ExitStack():
                evaluation, again = evaluate_step(curvature, closure, self._attachment, keep_graph)
            if beginning is not None and evaluation.closure is not None:
                repeated = beginning.repeated(evaluation.closure)
                evaluation = dataclasses.replace(evaluation, closure=repeated)
            if replicas is not None:
                evaluation = replicas.average_evaluation(evaluation)
            gradients = Gradients.of(self.param_groups)
        refuse_half_precision(evaluation)
        if newton and self._sets_damping:
            assert beginning is not None
            trial = TrialLoss(
                again,
                beginning,
                evaluation.loss_gradients or evaluation.gradients,
                self._trials_need_graph,
            )
            self._self_damped_step(curvature, evaluation, gradients, trial, replicas, clock)
            return evaluation.returned
        found = NOTHING_FOUND
        skipped = reason_to_skip(evaluation, gradients)
        if skipped is None and (newton or surveys):
            try:
                found = self._newton_update(curvature, evaluation, step, newton, replicas, clock)
                skipped = found.failure
            except FloatingPointError as error:
                skipped = str(error)
        if surveys and skipped is None:
            ends = self.warmup.ends_with(found.blocks)
            counters["newton"] = ends if replicas is None else replicas.decide(ends, device)
        evaluation.release()
        applied = NOT_APPLIED
        if skipped is None:
            with clock.stage("update"):
                if found.update is None:
                    applied = descend(gradients)
                else:
                    applied = apply_update(found.update, self.param_groups, gradients)
            if not applied.finite:
                skipped = "the update is not finite"
        record = step_record(
            step=step,
            phase="newton" if newton else "first-order",
            evaluation=evaluation,
            gradients=gradients,
            applied=applied,
            skipped=skipped,
            found=found,
            clock=clock,
            policy=self.policy,
            market=self.market,
        )
        if newton:
            record = dataclasses.replace(
                record,
                first_order_blocks=tuple(block.name for block in curvature.larger),
                newton_share=self.newton_share,
            )
        self.records.append(record)
        self._end_step(counters)
        return evaluation.returned

    def attach(self, model: nn.Module, loss_fn: LossOf) -> Attachment:
        """Let a bare :meth:`step` know the loss, for training loops that pass no closure.

        From then on the training passes of ``model`` are remembered until the next step, which
        repeats them for the curvature: with the same inputs, random state and autocast, weighted
        as ``backward`` weighted their losses, and without touching buffers. The right-hand side
        stays ``.grad`` as the loop left it, so accumulation and clipping count.

        Args:
            model: The module that the loop calls, before any wrapping.
            loss_fn: Maps the model's output to the tensor that the loop differentiates, such as
                ``lambda output: output.loss``.

        Returns:
            The attachment, whose ``remove()`` ends it.

        Cost: one more forward and backward pass a Newton step.

        Example:
            >>> import torch
            >>> class Distance(nn.Module):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.place = nn.Parameter(torch.tensor([3.0]))
            ...     def forward(self, x):
            ...         return {"loss": (self.place - x).square().sum()}
            >>> net = Distance()
            >>> optimizer = QNewton(net, damping=0.0)
            >>> handle = optimizer.attach(net, lambda output: output["loss"])
            >>> net(torch.tensor([1.0]))["loss"].backward()
            >>> optimizer.step()
            >>> net.place.item()
            1.0
        """
        attachment = self._attach()
        attachment.watch_model(model, loss_fn)
        return attachment

    def repeatable(self, loss_of: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that computes the same loss, and which a step can repeat.

        For loops that compute their loss outside of the model; else as :meth:`attach`, which it
        replaces.

        Args:
            loss_of: Returns the loss, or a tuple that begins with it, or a mapping with ``loss``.
                It must run the module itself.

        Example:
            >>> import torch
            >>> net = nn.Linear(1, 1, bias=False)
            >>> optimizer = QNewton(net, damping=0.0)
            >>> loss_of = optimizer.repeatable(lambda x, y: (net(x) - y).square().mean())
            >>> for x, y in [([[1.0]], [[2.0]]), ([[2.0]], [[4.0]])]:
            ...     (loss_of(torch.tensor(x), torch.tensor(y)) / 2).backward()
            >>> optimizer.step()
            >>> round(net.weight.item(), 5)
            2.0
        """
        return RepeatableLoss(self._attach(), loss_of)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, and forget the passes that an attachment remembers of them."""
        super().zero_grad(set_to_none)
        if self._attachment is not None:
            self._attachment.gradients_are_cleared()

    def _attach(self) -> Attachment:
        if self._attachment is not None:
            self._attachment.remove()
        self._attachment = Attachment(
            lambda: [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        )
        return self._attachment

    @property
    def plan(self) -> tuple[BlockPlan, ...]:
        """How each block is represented: formed as a dense matrix, or multiplied with alone."""
        self._trainable.of(self.param_groups)
        return self._trainable.plan

    @property
    def newton_share(self) -> float:
        """Share of the trainable parameters whose blocks get a Newton system."""
        plan = self.plan
        total = sum(block.n for block in plan)
        return sum(block.n for block in plan if block.newton) / total if total else 0.0

    def register_solution_hook(self, hook: SolutionHook) -> RemovableHandle:
        """Call ``hook(step, system, record, direction)`` for every block that is solved.

        The system is the treated one, so a hook can solve it again by other means.
        """
        handle = RemovableHandle(self._hooks.solution)
        self._hooks.solution[handle.id] = hook
        return handle

    def register_stage_hook(self, hook: StageHook) -> RemovableHandle:
        """Call ``hook(step, stage)`` when a stage of a step begins, to show progress inside it."""
        handle = RemovableHandle(self._hooks.stage)
        self._hooks.stage[handle.id] = hook
        return handle

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin a copy without hooks; fill what a state saved by an older version lacks."""
        super().__setstate__(state)
        self.__dict__.setdefault("rescale", False)
        self.__dict__.setdefault("print_every", 0)
        if "_hooks" not in self.__dict__:
            self._begin_without_hooks()

    def _begin_without_hooks(self) -> None:
        self._hooks = StepHooks()
        self._attachment: Attachment | None = None
        self._warned_no_closure = False
        self._trials_need_graph = False

    @property
    def _sets_damping(self) -> bool:
        return any(group["damping"] == "auto" for group in self.param_groups if group["params"])

    def _self_damped_step(
        self,
        curvature: Curvature,
        evaluation: Evaluation,
        gradients: Gradients,
        trial: TrialLoss,
        replicas: Replicas | None,
        clock: StageClock,
    ) -> None:
        """Take a step whose damping sets itself; trials of the loss count as ``update``."""
        counters = self.counters
        skipped = reason_to_skip(evaluation, gradients)
        judged = Judged(NOTHING_FOUND, NOT_APPLIED, None, skipped)
        if skipped is None:
            step = SelfDampedStep(
                curvature=curvature,
                evaluation=evaluation,
                counters=counters,
                lengths={
                    id(p): float(group["lr"])
                    for group in self.param_groups
                    for p in group["params"]
                },
                memory=self._route_memory(counters),
                sign=one_sign(self.param_groups),
                solve=functools.partial(self._solve_systems, counters["step"], replicas, clock),
                trial=trial,
                replicas=replicas,
                seed=self.seed + counters["step"],
                clock=clock,
            )
            judged = step.take()
            self._trials_need_graph = trial.needs_graph
        evaluation.release()
        self.records.append(
            step_record(
                step=counters["step"],
                phase="newton",
                evaluation=evaluation,
                gradients=gradients,
                applied=judged.applied,
                skipped=judged.skipped,
                found=judged.found,
                clock=clock,
                policy=self.policy,
                market=self.market,
                damping=judged.record,
            )
        )
        self._end_step(counters)

    def _route_memory(self, counters: dict[str, Any]) -> RouteMemory:
        """Return what earlier steps found of the curvature's routes, to be added to."""
        formed = any(
            group["prune"] is not None or group["damping_scale"] != "absolute"
            for group in self.param_groups
        )
        needs_entries = formed or POLICIES.get(self.policy).needs_entries
        by_products = self.market.hardware is None and not needs_entries
        usual = USUAL_PRODUCTS if by_products else None
        return RouteMemory(counters, counters["step"], usual_products=usual)

    def _newton_update(
        self,
        curvature: Curvature,
        evaluation: Evaluation,
        step: int,
        solve: bool,
        replicas: Replicas | None,
        clock: StageClock,
    ) -> NewtonUpdate:
        with clock.stage("curvature"):
            systems = curvature.systems(evaluation, memory=self._route_memory(self.counters))
        if replicas is not None:
            systems = replicas.average_curvature(systems)
        larger = [(block, evaluation.gradient(block.parameters)) for block in curvature.larger]
        return self._solve_systems(step, replicas, clock, systems, None, solve=solve, larger=larger)

    def _solve_systems(
        self,
        step: int,
        replicas: Replicas | None,
        clock: StageClock,
        systems: list[LinearSystem],
        strength: float | None,
        forcing: float = 1.0,
        solve: bool = True,
        larger: Sequence[tuple[Block, Tensor]] = (),
    ) -> NewtonUpdate:
        market = self.market
        if strength is not None:
            asked = max(min(market.tolerance, forcing), min(market.tolerance, _TOLERANCE))
            market = dataclasses.replace(market, tolerance=asked)
        if market.readout is not None:
            drawn = dataclasses.replace(market.readout, seed=self.seed + step)
            market = dataclasses.replace(market, readout=drawn)
        plan = SurveyPlan(
            measure=not solve or self.market.hardware is not None,
            seed=self.seed + step,
            routes=replicas is None,
        )
        counters = self.counters
        found = newton_update(
            systems,
            self.param_groups,
            solve=solve,
            plan=plan,
            policy=self.policy,
            market=market,
            max_dense=self.max_dense,
            clock=clock,
            replicas=replicas,
            on_solution=functools.partial(self._hooks.tell_solution, step),
            strength=strength,
            earlier=lambda block: recall(counters, block, step),
            surveyed=lambda block: (
                recall_survey(counters, block, step - self.survey_every + 1) if solve else None
            ),
            larger=larger,
            rescale=self.rescale,
        )
        for record in found.blocks:
            if plan.measure and record.facts.measured_at is None and self.survey_every > 1:
                remember_survey(counters, record, step)
            if record.attempts and not POLICIES.get(self.policy).needs_entries:
                remember(counters, record, step, market.tolerance)
        return found

    def _step_without_closure(self) -> None:
        """Take a first-order step on the gradients that are there; there is no loss to record."""
        if not self._warned_no_closure:
            self._warned_no_closure = True
            warnings.warn(
                "QNewton.step() was called without a closure, so there is no curvature: taking "
                "first-order steps on .grad; pass a closure that returns the loss, or attach() "
                "the model",
                stacklevel=3,
            )
        gradients = Gradients.of(self.param_groups)
        if math.isfinite(gradients.norm):
            descend(gradients)
        self._end_step(self.counters)

    def _end_step(self, counters: dict[str, Any]) -> None:
        step = counters["step"]
        due = self.print_every > 0 and step % self.print_every == 0
        # A step without a closure, and so without a loss, leaves no record.
        recorded = bool(self.records) and self.records[-1].step == step
        if due and recorded and Replicas.first(self._process_group):
            sys.stdout.write(f"{self.records[-1]}\n")
            sys.stdout.flush()
        counters["step"] += 1
        if self._attachment is not None:
            self._attachment.clear()


def _treated_apart(params: list[Any]) -> bool:
    """Return whether some parameter group asks for a treatment of its own."""
    asked = {"damping", "damping_scale", "prune", "maximize"}
    return any(isinstance(group, dict) and asked & group.keys() for group in params)
