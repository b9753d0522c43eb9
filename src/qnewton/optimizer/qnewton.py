"""QNewton: Newton's method whose every step is priced before it is solved."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Unpack

import torch
from torch import Tensor, nn

from qnewton.cost import DEFAULT_AUDIT, Market
from qnewton.curvature import BlockLimits, Curvature, Kind, Partition, with_loss
from qnewton.optimizer.beginning import Beginning
from qnewton.optimizer.block_plan import DENSE_LIMIT, BlockPlan, check_executed
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.data_change import DEFAULT_BUDGET
from qnewton.optimizer.fixed_damping import FirstOrder, FixedDamping
from qnewton.optimizer.lightning import is_lightning_module, watch_training_step
from qnewton.optimizer.machine import default_calibration
from qnewton.optimizer.memory import Memory
from qnewton.optimizer.old_keywords import Options, OtherKeywords, with_old_keywords
from qnewton.optimizer.options import Classical, Damping, Limits, Quantum
from qnewton.optimizer.recorded import RecordedOptimizer
from qnewton.optimizer.refusals import refuse_half_precision
from qnewton.optimizer.replicas import Replicas
from qnewton.optimizer.rescale import check_rescaling
from qnewton.optimizer.self_damped import SelfDamped
from qnewton.optimizer.settings import are_plain, treated_apart
from qnewton.optimizer.step_context import Evaluated, Settings, StepContext, StepMethod
from qnewton.optimizer.step_loss import evaluate_step
from qnewton.optimizer.step_record import finish, frozen
from qnewton.optimizer.trainable import TrainableCurvature
from qnewton.optimizer.update import Gradients, descend
from qnewton.optimizer.warmup import Warmup
from qnewton.records import QuantumHardware
from qnewton.scheduler.policy import needs_survey, policy_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_TOLERANCE, _AUTO_TOLERANCE = 1e-6, 0.1

# Above, a factorisation is rarely cheaper than the products conjugate gradients need.
_AUTO_DENSE = 2048


class QNewton(RecordedOptimizer):
    r"""Newton's method with damping: θ ← (1 - β·w)·θ + β·x, (prune(H + λI)) x = -g.

    Each step solves one symmetric system per block. The scheduler asks every solver for a quote,
    and the policy chooses; what was measured, quoted, chosen and done is in :attr:`records`. A
    step whose loss or gradient is not finite changes no parameter and says why in its record.
    Where the curvature or a direction is not finite, a step with a fixed λ changes nothing
    either, and one that sets its λ takes a damped step along -g instead.

    Args:
        params: A module, or parameters, named ones, or parameter groups. Without a module the
            curvature is the Hessian by the generic path.
        lr: β, the length of a Newton step; 1 is the full step. What has lr 0 does not move.
        curvature: ``hessian``, the exact one; ``ggn``, generalised Gauss-Newton; ``fisher``, the
            empirical Fisher of a loss that is the mean over the samples it counts. The latter two
            are positive semidefinite for losses convex in the model's output, need a module, and
            need a closure that calls it once, but for ``ggn`` of a sum of squares. ``auto`` is
            ``hessian`` unless λ sets itself, the policy is ``classical``, and the loss is a sum of
            squares (:class:`~qnewton.Residuals`, or seen in its graph) without a closed form: then
            Gauss-Newton on its residuals.
        blocks: ``full`` (the default with ``damping="auto"``, unless parameter groups are treated
            differently), ``layer`` (the default for a module otherwise) or ``tensor`` (the default
            for parameters otherwise).
        damping: λ, added to the diagonal of every block; or ``auto``, which needs no knob:
            Levenberg-Marquardt on the true reduction of the loss, with a trust radius. Every
            such step evaluates the loss again, at least once, so the closure must give the same
            loss for the same parameters; a step that no length makes descend changes nothing.
            Where the curvature is indefinite the step comes from the Gauss-Newton matrix of the
            same evaluation, from the eigenvalues' sizes, or from a larger λ; each step's
            ``damping`` record says which and why. A :class:`Damping` has a scale and momentum, too.
            Where data change from step to step, steps have the budget of the ``limits``: averaged
            directions whose length the next batch judges (the ``averaged`` record).
        prune: ``None``; an int d keeps at most d entries per row; a float p in (0, 1) chooses d so
            that no row loses more than a share 1-p of its mass to the cap.
        policy: ``classical``, ``paper``, ``hybrid``, ``classical-only`` or ``quantum-only``.
        quantum: A :class:`Quantum`, or its machine alone: profile name, path or record; ``None``
            for no quantum quotes. The quantum policies need one.
        classical: The calibration of the classical machine, and its solvers' tolerance.
        limits: The largest blocks that are formed, and that get a system; :attr:`plan` lists them.
        warmup: First-order steps before the first Newton step, or ``auto``, ``paper``, or a
            :class:`Warmup`, which also has the rate of first-order steps.
        seed: Seeds the survey's random starts.
        rescale: Put the blocks' directions together by the Fisher matrix between them, with one
            factor per block: layers that lower the same losses would otherwise lower them several
            times over, and the step would overshoot. It costs one product per block, and needs
            ``curvature="fisher"``, one process, minimisation, and a damping that is a number.
        weight_decay: w, decoupled as in AdamW: every step that moves parameters also takes β·w of
            themselves off those that have a gradient. H, g and ρ are of the loss alone. β is
            ``first_order_lr`` in first-order steps, and times the length of ``averaged`` ones. A
            step that sets λ evaluates the loss once more, and is undone where that is not finite.
        maximize: Negate loss, gradient and curvature together, and climb.
        print_every: 5 prints ``str`` of every fifth step's record to standard output; 0 prints
            none. Of several processes the first prints.
        model: The module that the parameters in ``params`` belong to: its linear layers allow
            the closed form, and ``layer`` blocks.
        process_group: Processes that train the same model on equal shares of the batch, and
            whose gradients and curvature are averaged; by default all of them, once
            ``torch.distributed`` is initialized.
        others: PyTorch's ``foreach``, ``fused``, ``capturable`` and ``differentiable`` are
            declined. Keywords of release 0.1 that moved into a value work, with a warning.

    Raises:
        ValueError: If a setting is outside its limits, blocks span groups of different
            treatment, or the parameters are sharded or of a dtype other than float32 or float64.

    Cost:
        One forward and backward pass, the curvature of every block (N² entries), and a
        factorisation (N³/3 operations) per block under the default policy.

    Reference:
        P. Li et al., Hybrid Quantum-Classical Scheduling for Accelerating Neural Network
        Training with Newton's Gradient Descent, arXiv:2405.00252, Algorithm 2.

    Example:
        >>> import torch
        >>> w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
        >>> optimizer = QNewton([w], damping=0.0)  # solves a quadratic in one step
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
        "budget",
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
        curvature: Kind = "auto",
        blocks: Partition | None = None,
        damping: float | Literal["auto"] | Damping = "auto",
        prune: int | float | None = None,
        policy: str = "classical",
        quantum: Quantum | QuantumHardware | str | PathLike[str] | None = None,
        classical: Classical = Classical(),
        limits: Limits = Limits(),
        warmup: int | str | Warmup = 0,
        rescale: bool = False,
        weight_decay: float = 0.0,
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
        by_products = automatic and prune is None and not chooser.needs_entries
        usual = _AUTO_DENSE if by_products else DENSE_LIMIT
        max_dense = usual if limits.max_dense is None else limits.max_dense
        module = params if isinstance(params, nn.Module) else model
        together = automatic
        if not isinstance(params, nn.Module | Tensor):
            params = list(params)
            together = automatic and not treated_apart(params)
        if blocks is None:
            blocks = "full" if together else "tensor" if module is None else "layer"
        needs_survey(chooser, quantum.machine)  # raises on one without its machine
        self.policy = policy
        self.warmup = options.warmup
        self.seed = seed
        self.survey_every = quantum.survey_every
        self._begin_records(print_every)
        self.market = Market(
            calibration=classical.calibration or default_calibration(),
            hardware=quantum.machine,
            epsilon=quantum.epsilon,
            tolerance=classical.tolerance or (_AUTO_TOLERANCE if automatic else _TOLERANCE),
            readout=quantum.readout,
            execution=quantum.execution,
            quantum_price=chooser.quantum_price or "paper",
            audit=quantum.audit or DEFAULT_AUDIT,
            algorithm=quantum.algorithm,
            n_qpus=quantum.n_qpus,
        )
        sizes = BlockLimits(max_dense, limits.max_newton)
        if curvature == "auto" and not (automatic and policy == "classical"):
            curvature = "hessian"
        self._trainable = TrainableCurvature(
            module, curvature, blocks, sizes, policy, convex_too=automatic
        )
        self.max_dense = max_dense
        self.budget = DEFAULT_BUDGET if limits.budget is None else limits.budget
        self._process_group = process_group
        self._begin_without_hooks()
        defaults: dict[str, Any] = {
            "lr": lr,
            **options.damping.group_settings,
            "prune": prune,
            "first_order_lr": options.warmup.first_order_lr,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params.parameters() if isinstance(params, nn.Module) else params, defaults)
        self._trainable.of(self.param_groups)  # raises on blocks that cannot be
        check_executed(self.plan, chooser, quantum)
        if is_lightning_module(module):
            watch_training_step(module, self._attach())

    # PyTorch's stub says the closure returns a float; its own optimizers return tensors.
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step and return what the closure returned, without its graph.

        Args:
            closure: Evaluates the model and returns the loss. It may call ``loss.backward()``
                or only return the loss. It is called once, and once more for every length that a
                step that sets its damping tries; three to six times more, once per model, to check
                second derivatives against differences of gradients. Without a closure the step
                repeats the passes of an attached model (:meth:`attach`); without those, too, it is
                a first-order step on the gradients that are there, with one warning.

        Raises:
            ValueError: If the closure returns nothing a gradient can be taken of or adds to a
                ``.grad`` that it did not clear, the loss cannot be differentiated twice, a
                derivative is wrong, or the model runs in float16.
            TypeError: If the closure is no function, but the loss itself.
            BaseException: What the closure raised, but for a numerical error in a trial, which
                refuses that length; parameters, gradients, buffers and random state are then
                what they were before the step.
        """
        closure = None if closure is None else with_loss(closure)
        curvature = self._trainable.of(self.param_groups)
        if curvature is None:
            if closure is None:
                return None
            returned, memory = closure(), Memory(self.counters)
            self.records.append(frozen(memory.step, returned))
            self._end_step(memory)
            self._warn_of_findings()
            return returned
        attached = self._attachment is not None and self._attachment.has_passes
        if closure is None and not attached:
            return self._step_without_closure()
        memory = Memory(self.counters, self.survey_every, self._own_tensors)
        budget = self._present_budget
        method = self._method(memory, budget)
        with ExitStack() as stack:
            if self._attachment is not None:
                stack.enter_context(self._attachment.kept())
            joins = attached and closure is not None  # the passes before it, if it adds to them
            beginning = None
            if curvature.watches(method.needs_graph) or joins:
                module = self._trainable.module
                beginning = Beginning(curvature.parameters, module, memory.states)
                # Puts everything back if an exception comes out.
                stack.enter_context(beginning.kept())
            context = self._context(memory, curvature.parameters[0].device)
            evaluated = self._evaluated(context, curvature, closure, method.needs_graph, beginning)
            method = self._self_damped.after(method, context, evaluated, budget)
            taken = method.take(context, evaluated)
            self.records.append(finish(context, evaluated, taken))
            self._end_step(memory)
        self._warn_of_findings()  # where warnings are errors, the step is over
        return evaluated.evaluation.returned

    def _method(self, memory: Memory, budget: float) -> StepMethod:
        """Return how the present step is taken."""
        if memory.newton or self.warmup.is_over(memory.step):
            if any(group["damping"] == "auto" for group in self.param_groups if group["params"]):
                unknowns = sum(block.n for block in self._trainable.plan)
                return self._self_damped.before(memory, unknowns, budget)
            return FixedDamping(self.rescale)
        return FirstOrder(self.warmup if self.warmup.surveys(memory.step) else None)

    @property
    def _present_budget(self) -> float:
        """The limit of a step on a batch; none where systems or quotes were asked for."""
        quotes = self.policy != "classical" or self.market.hardware is not None
        asked = quotes or self._trainable.kind != "auto" or not are_plain(self.param_groups)
        return math.inf if asked else self.budget

    def _context(self, memory: Memory, device: torch.device) -> StepContext:
        step, market = memory.step, self.market
        if market.readout is not None:
            drawn = dataclasses.replace(market.readout, seed=self.seed + step)
            market = dataclasses.replace(market, readout=drawn)
        return StepContext(
            step=step,
            clock=StageClock(device, self._hooks.stage_listener(step)),
            replicas=Replicas.present(self._process_group, device),
            market=market,
            policy=policy_of(self.policy),
            memory=memory,
            hooks=self._hooks,
            settings=Settings(self.param_groups, self.max_dense, self.seed),
        )

    def _evaluated(
        self,
        context: StepContext,
        curvature: Curvature,
        closure: Callable[[], Any] | None,
        keep_graph: bool,
        beginning: Beginning | None,
    ) -> Evaluated:
        """Evaluate the step's loss, on all replicas."""
        replicas = context.replicas
        curvature.alike = None if replicas is None else replicas.largest
        with context.clock.stage("forward_backward"):
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
        return Evaluated(curvature, evaluation, gradients, again, beginning)

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

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin a copy without hooks; fill what a state saved by an older version lacks."""
        super().__setstate__(state)
        self.__dict__.setdefault("rescale", False)
        self.__dict__.setdefault("budget", DEFAULT_BUDGET)
        self.__dict__.setdefault("print_every", 0)
        if "_hooks" not in self.__dict__:
            self._begin_without_hooks()

    def _begin_without_hooks(self) -> None:
        super()._begin_without_hooks()
        self._warned_no_closure = False
        self._self_damped = SelfDamped()

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
        self._end_step(Memory(self.counters))

    def _end_step(self, memory: Memory) -> None:
        self._print_record(memory.step)
        memory.step += 1
        self._show_own_tensors()
        if self._attachment is not None:
            self._attachment.clear()
