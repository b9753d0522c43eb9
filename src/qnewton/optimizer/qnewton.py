"""QNewton: Newton's method whose every step is priced before it is solved."""

import dataclasses
import math
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from qnewton.cost import SurveyFact, load_hardware, modelled_seconds, own_charges
from qnewton.curvature import Curvature, Evaluation, Kind, Partition
from qnewton.operators import LinearSystem
from qnewton.optimizer.blocks import SurveyPlan, prepare_block, solve_block
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.machine import default_calibration
from qnewton.optimizer.settings import DampingScale, check_settings, settings_of_block
from qnewton.optimizer.update import Update, apply_update, first_order_update
from qnewton.optimizer.warmup import Warmup
from qnewton.records import (
    BlockRecord,
    Calibration,
    Phase,
    QuantumHardware,
    StepRecord,
)
from qnewton.scheduler.policy import needs_survey
from qnewton.scheduler.portfolio import Market

SolutionHook = Callable[[int, LinearSystem, BlockRecord, Tensor], None]

StageHook = Callable[[int, str], None]

RECORDS_KEPT = 1000
"""Step records kept in memory; a run folder keeps all of them."""


class QNewton(Optimizer):
    r"""Newton's method with damping: θ ← θ + β·x, (prune(H + λI)) x = -g.

    Each step solves one symmetric system a block. The scheduler asks every solver of its
    portfolio for a quote and the policy chooses; what was measured, quoted, chosen and done is
    in :attr:`records`. A step whose loss, gradient, curvature or direction is not finite changes
    no parameter and says why in its record.

    Args:
        params: A module (its trainable parameters), or parameters, or parameter groups. Without
            a module the curvature is the Hessian by the generic path.
        lr: β, the length of a Newton step; 1 is the full step.
        curvature: ``hessian``, the exact one; ``ggn``, generalised Gauss-Newton; ``fisher``, the
            empirical Fisher of a loss that is the mean over its samples. The latter two are
            positive semidefinite for losses convex in the model's output, need a module, and
            need a closure that calls it once.
        blocks: ``full``, ``layer`` (the default for a module) or ``tensor`` (otherwise).
        damping: λ, added to the diagonal of every block.
        damping_scale: ``absolute``, or ``max-abs`` for λ = damping · max\|H\|.
        prune: ``None``; an int d keeps at most d entries a row; a float p in (0, 1) chooses d so
            that no row loses more than a share 1-p of its mass to the cap.
        policy: ``classical``, ``paper``, ``classical-only`` or ``quantum-only``.
        hardware: A quantum machine: profile name, path or record; ``None`` for no quantum
            quotes. The quantum policies need one.
        warmup: First-order steps before the first Newton step, or ``auto``, ``paper``, or a
            :class:`Warmup`.
        first_order_lr: Learning rate of first-order steps.
        calibration: This machine's classical constants; by default those that ``qnewton
            calibrate`` stored, else nominal ones, labelled so.
        epsilon: Error tolerance at which the quantum solver is priced and emulated.
        tolerance: Relative residual the classical solvers have to reach.
        seed: Seeds the survey's random starts.

    Raises:
        ValueError: If a setting is outside its limits.

    Cost:
        One forward and backward pass, the curvature of every block (N² entries), and a
        factorisation (N³/3 operations) a block under the default policy.

    Reference:
        P. Li et al., Hybrid Quantum-Classical Scheduling for Accelerating Neural Network
        Training with Newton's Gradient Descent, arXiv:2405.00252, Algorithm 2.

    Example:
        A quadratic is solved in one undamped step.

        >>> w = torch.nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
        >>> optimizer = QNewton([w], damping=0.0)
        >>> loss = optimizer.step(lambda: (w[0] - 1) ** 2 + 10 * (w[1] + w[0]) ** 2)
        >>> [round(value, 6) for value in w.tolist()]
        [1.0, -1.0]
        >>> optimizer.records[-1].blocks[0].outcome
        'solved'
    """

    def __init__(
        self,
        params: nn.Module | Iterable[Any],
        lr: float | Tensor = 1.0,
        *,
        curvature: Kind = "hessian",
        blocks: Partition | None = None,
        damping: float = 1.0,
        damping_scale: DampingScale = "absolute",
        prune: int | float | None = None,
        policy: str = "classical",
        hardware: QuantumHardware | str | PathLike[str] | None = None,
        warmup: "int | str | Warmup" = 0,
        first_order_lr: float = 0.1,
        calibration: Calibration | None = None,
        epsilon: float = 1e-12,
        tolerance: float = 1e-6,
        seed: int = 0,
    ) -> None:
        module = params if isinstance(params, nn.Module) else None
        if isinstance(params, nn.Module):
            groups: Any = [p for p in params.parameters() if p.requires_grad]
        else:
            groups = list(params)
        defaults = {
            "lr": lr,
            "damping": damping,
            "damping_scale": damping_scale,
            "prune": prune,
            "first_order_lr": first_order_lr,
        }
        super().__init__(groups, defaults)
        for group in self.param_groups:
            check_settings(group)
        if not (math.isfinite(first_order_lr) and first_order_lr >= 0):
            raise ValueError(f"first_order_lr is {first_order_lr}; it must be finite and 0 or more")
        for name, value in (("epsilon", epsilon), ("tolerance", tolerance)):
            if not 0 < value < 1:
                raise ValueError(f"{name} is {value}; it must lie between 0 and 1")
        if hardware is not None and not isinstance(hardware, QuantumHardware):
            hardware = load_hardware(hardware)
        needs_survey(policy, hardware)  # raises on an unknown policy, or one without its machine
        self.policy = policy
        self.warmup = Warmup.of(warmup)
        self.seed = seed
        self.market = Market(
            calibration=calibration or default_calibration(),
            hardware=hardware,
            epsilon=epsilon,
            tolerance=tolerance,
            dtype="float32",
        )
        self._curvature = Curvature(
            module if module is not None else self._parameters(),
            kind=curvature,
            blocks=blocks or ("layer" if module is not None else "tensor"),
        )
        self.records: deque[StepRecord] = deque(maxlen=RECORDS_KEPT)
        self._solution_hooks: OrderedDict[int, SolutionHook] = OrderedDict()
        self._stage_hooks: OrderedDict[int, StageHook] = OrderedDict()
        self._warned_no_closure = False

    # PyTorch's stub says the closure returns a float; its own optimizers return tensors.
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step and return the loss that the closure returned.

        Args:
            closure: Evaluates the model and returns the loss. It may call ``loss.backward()``
                or only return the loss. It is called once. Without a closure the step is a
                first-order one on the gradients that are there, with one warning.

        Raises:
            ValueError: If the closure returns nothing a gradient can be taken of.
        """
        if closure is None:
            return self._step_without_closure()
        state = self._state()
        step = int(state["step"])
        clock = StageClock(self._parameters()[0].device, lambda name: self._tell(step, name))
        newton = bool(state["newton"]) or self.warmup.is_over(step)
        surveys = not newton and self.warmup.surveys(step)
        with clock.stage("forward_backward"):
            evaluation = self._curvature.evaluate(closure, curvature=newton or surveys)
        blocks: tuple[BlockRecord, ...] = ()
        update: Update | None = None
        skipped = self._not_finite(evaluation)
        if skipped is None and (newton or surveys):
            try:
                update, blocks, skipped = self._newton_update(evaluation, step, newton, clock)
            except FloatingPointError as error:
                skipped = str(error)
        if surveys and skipped is None and self.warmup.ends_with(blocks):
            state["newton"].fill_(True)
        evaluation.release()
        if skipped is None and not newton:
            update = first_order_update(self.param_groups)
        self._finish(
            step, "newton" if newton else "first-order", evaluation, update, blocks, skipped, clock
        )
        state["step"] += 1
        return evaluation.loss

    def register_solution_hook(self, hook: SolutionHook) -> RemovableHandle:
        """Call ``hook(step, system, record, direction)`` for every block that is solved.

        The system is the treated one, so a hook can solve it again by other means.
        """
        handle = RemovableHandle(self._solution_hooks)
        self._solution_hooks[handle.id] = hook
        return handle

    def register_stage_hook(self, hook: StageHook) -> RemovableHandle:
        """Call ``hook(step, stage)`` when a stage of a step begins, to show progress inside it."""
        handle = RemovableHandle(self._stage_hooks)
        self._stage_hooks[handle.id] = hook
        return handle

    def _tell(self, step: int, stage: str) -> None:
        for hook in self._stage_hooks.values():
            hook(step, stage)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Fill what a state saved by an older version lacks."""
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def _newton_update(
        self, evaluation: Evaluation, step: int, solve: bool, clock: StageClock
    ) -> tuple[Update | None, tuple[BlockRecord, ...], str | None]:
        # Blocks are formed, treated and solved one after the other, so that only one dense
        # matrix is alive at a time.
        plan = SurveyPlan(
            measure=not solve or self.market.hardware is not None,
            seed=self.seed + step,
        )
        with clock.stage("curvature"):
            systems = self._curvature.systems(evaluation)
        directions, records = [], []
        while systems:
            system = systems.pop(0)
            settings = settings_of_block(system.name, system.parameters, self.param_groups)
            prepared = prepare_block(system, settings, plan, self.policy, self.market, clock)
            if not solve:
                records.append(prepared.record)
                continue
            direction, record = solve_block(prepared, self.market, clock)
            records.append(record)
            if direction is None or not torch.isfinite(direction).all():
                tries = ", ".join(f"{a.solver}: {a.outcome}" for a in record.attempts)
                return None, tuple(records), f"no direction for block {system.name!r} ({tries})"
            directions.append((prepared.system.parameters, direction))
            for hook in self._solution_hooks.values():
                hook(step, prepared.system, record, direction)
        return (Update.of(directions) if solve else None), tuple(records), None

    def _finish(
        self,
        step: int,
        phase: Phase,
        evaluation: Evaluation,
        update: Update | None,
        blocks: tuple[BlockRecord, ...],
        skipped: str | None,
        clock: StageClock,
    ) -> None:
        gradients = {p: p.grad for p in self._parameters() if p.grad is not None}
        step_norm, cosine = 0.0, None
        if update is not None and skipped is None:
            with clock.stage("update"):
                step_norm, cosine, finite = apply_update(update, phase, self.param_groups)
            if not finite:
                skipped = "the update is not finite"
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients.values()))
        record = StepRecord(
            step=step,
            phase=phase,
            loss=float(evaluation.loss),
            gradient_norm=norm,
            step_norm=step_norm,
            cosine=cosine,
            parameters=sum(p.numel() for p in self._parameters()),
            forward_backward_flops=evaluation.forward_backward_flops,
            measured=clock.seconds(),
            skipped=skipped,
            reason="warm-up" if phase == "first-order" else None,
            blocks=blocks,
        )
        modelled = modelled_seconds(
            record,
            self.market.calibration,
            charged=own_charges(record),
            surveyed=self._facts_paid_for(record),
            dtype=str(self._parameters()[0].dtype).removeprefix("torch."),
        )
        self.records.append(dataclasses.replace(record, modelled=modelled))

    def _facts_paid_for(self, record: StepRecord) -> tuple[SurveyFact, ...]:
        if any(block.decision.chosen == "cg" for block in record.blocks):
            return ("condition",)
        return needs_survey(self.policy, self.market.hardware)

    def _step_without_closure(self) -> None:
        """Take a first-order step on the gradients that are there; there is no loss to record."""
        if not self._warned_no_closure:
            self._warned_no_closure = True
            warnings.warn(
                "QNewton.step() was called without a closure, so there is no curvature: taking "
                "first-order steps on .grad; pass a closure that returns the loss",
                stacklevel=3,
            )
        update = first_order_update(self.param_groups)
        if update.directions:
            apply_update(update, "first-order", self.param_groups)
        self._state()["step"] += 1

    def _not_finite(self, evaluation: Evaluation) -> str | None:
        if not math.isfinite(float(evaluation.loss)):
            return f"the loss is {float(evaluation.loss)}"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                    return "the gradient is not finite"
        return None

    def _state(self) -> dict[str, Tensor]:
        # Kept under the first parameter, as torch.optim.LBFGS does, so that state_dict has it.
        state = self.state[self._parameters()[0]]
        if not state:
            state["step"] = torch.tensor(0)
            state["newton"] = torch.tensor(False)
        return state

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]
